"""What the benchmark of compiling makes of measurements, and where it writes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from wizardtpu_compile.steps.record import StepRecord

from tests.bench.compile.disk import DiskWatch
from tests.bench.compile.step_time import StepTime, step_times
from tests.bench.compile.wide_build import WideBuild
from tests.bench.page import with_part


def step(name: str, began: float, seconds: float, files: int = 0) -> StepTime:
    return StepTime(name, began, seconds, peak_memory=0, files=files)


def build() -> WideBuild:
    """Two layers on two cores: 4 s for the embedding, 10 s for each layer, 6 s for the heads."""
    steps = [
        step("embedding_b1_t1", 100, 4),
        step("block_0.weights", 101, 4, files=300),
        step("block_0_b1_t1_s8", 104, 6, files=200),
        step("block_1.weights", 105, 4, files=300),
        step("block_1.add", 109, 6),
        step("lm_head_b1", 113, 5),
        step("greedy_head_b1", 117, 1),
    ]
    return WideBuild(
        model="random",
        context=8,
        jobs=2,
        seconds=20,
        own_peak=0,
        largest_peak=0,
        bundle=1000,
        disk_peak=1800,
        disk_peak_of_blocks=500,
        layer_in_bundle=250,
        sha256="",
        steps=steps,
    )


def test_forty_layers_are_added_up() -> None:
    measured = build()
    assert (measured.layer_work, measured.embedding_work, measured.heads_work) == (10, 4, 6)
    assert measured.layer_span == (115 - 101) / 2
    assert measured.outside == 2
    assert measured.bundle_of(40) == 1000 + 38 * 250
    assert measured.seconds_of(2) == (2 * 10 + 4 + 6) / 2 + 2
    assert measured.seconds_of(40) == pytest.approx((40 * 10 + 4 + 6) / 2 + 2 * 10.5)


def test_disk_is_the_bundle_and_what_is_under_way() -> None:
    measured = build()
    assert measured.layer_files == 400
    assert measured.disk_limit(2) == 1500 + 400
    assert measured.full_disk_peak == 10500 + 500


def test_steps_are_read_from_their_records(tmp_path: Path) -> None:
    directory = tmp_path / "bundle.build" / "steps" / "block_11_b1_t1_s8"
    directory.mkdir(parents=True)
    StepRecord("digest", 2.5, {"net.bmodel": 10, "net.mlir": 5}, {"peak_memory": 7}).write(directory)
    os.utime(directory / "done.json", (1000, 1000))
    (found,) = step_times(tmp_path / "bundle")
    assert found == StepTime("block_11_b1_t1_s8", 997.5, 2.5, 7, 15)
    assert (found.group, found.is_layer, found.ended) == ("block_11", True, 1000)


def test_a_file_with_two_links_takes_its_space_once(tmp_path: Path) -> None:
    model, steps, embedding = (tmp_path / name for name in ("bundle", "block_0.weights", "embedding_b1_t1"))
    for directory in (model, steps, embedding):
        directory.mkdir()
    (model / "model.bmodel").write_bytes(bytes(1 << 20))
    os.link(model / "model.bmodel", tmp_path / "model.bmodel")
    (steps / "weights.npz").write_bytes(bytes(1 << 16))
    (embedding / "net.bmodel").write_bytes(bytes(1 << 18))
    watch = DiskWatch(tmp_path)
    watch()
    (embedding / "net.bmodel").unlink()
    watch()
    assert (watch.peak, watch.peak_of_blocks) == ((1 << 20) + (1 << 16) + (1 << 18), 1 << 16)


def test_a_part_takes_the_place_of_its_predecessor_alone() -> None:
    page = with_part("", "# One\nold\n\n## Section\ntext\n")
    page = with_part(page, "# Two\nsecond\n")
    page = with_part(page, "# One\nnew\n")
    assert page == "# One\nnew\n\n# Two\nsecond\n"
