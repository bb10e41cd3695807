"""Token ids in, token ids out: sequences, prefill and decode steps, sampling and the KV cache."""

from wizardtpud.engine.engine import Engine, Progress
from wizardtpud.engine.opening import make_engine
from wizardtpud.engine.sampling import Sampling
from wizardtpud.engine.sequence import FinishReason, Sequence
from wizardtpud.engine.token import Token

__all__ = ["Engine", "FinishReason", "Progress", "Sampling", "Sequence", "Token", "make_engine"]
