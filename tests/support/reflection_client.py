"""A client that knows nothing of the project but an address: `python reflection_client.py ADDRESS QUESTION ...`.

It learns the protocol by reflection, asks one question after the other in one conversation, and prints the answers
as a JSON list.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "wizardtpu.v1.GenerationService"


def converse(address: str, questions: list[str]) -> list[str]:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert SERVICE in database.get_services()
        method = DescriptorPool(database).FindServiceByName(SERVICE).methods_by_name["Generate"]
        request_class: Any = GetMessageClass(method.input_type)
        response_class: Any = GetMessageClass(method.output_type)
        generate = channel.unary_stream(
            f"/{SERVICE}/{method.name}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=response_class.FromString,
        )
        request = request_class()
        for question in questions:
            request.messages.messages.add(role="ROLE_USER", content=question)
            answer = "".join(event.delta.text for event in generate(request, timeout=60))
            request.messages.messages.add(role="ROLE_ASSISTANT", content=answer)
        return [message.content for message in request.messages.messages[1::2]]


if __name__ == "__main__":
    answers = converse(sys.argv[1], sys.argv[2:])
    assert not [name for name in sys.modules if name.startswith("wizardtpu")], "that would be no foreign client"
    print(json.dumps(answers))
