"""Windows, splits that share nothing, and answers by window, by recording and as a stream."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.fft import dct

from max78k.csi import amplitude
from max78k.csi.channel import person, record
from max78k.csi.collection import Collection, Labelled, read_collection
from max78k.csi.esp32 import Packet, csv_text
from max78k.csi.preparation import Form, Preparation, from_json
from max78k.csi.recording import Recording
from max78k.csi.splits import Split
from max78k.csi.time_frequency import cosine_image, log_image, transformer_image
from max78k.csi.windows import make_windows, read_windows, write_windows
from max78k.datasets.arrays import sample_shape
from max78k.datasets.load import load
from max78k.errors import InputError
from max78k.flows.csi_answers import Stream, answer_recording, differences, score_windows
from max78k.flows.csi_making import make_folder
from max78k.network import Layer, Network, Operation

CHANNELS = 52


def noise(count: int, seed: int) -> Recording:
    values = np.random.default_rng(seed).integers(-60, 60, (count, 128))
    return Recording(f"r{seed}", values.astype(np.int8), np.arange(count) / 100)


@pytest.fixture
def collection() -> Collection:
    recordings = tuple(Labelled(noise(200 + 10 * n, n), n % 2, str(n // 4)) for n in range(12))
    return Collection("c", ("still", "moving"), recordings)


SMALL = Preparation(window=50, step=25)


@pytest.mark.parametrize("kind", ["recording", "subject", "fold:1/3"])
def test_parts_share_no_recording(collection: Collection, kind: str) -> None:
    windows = make_windows(collection, SMALL, Split(kind))
    train, test = (set(windows.groups[part].tolist()) for part in ("train", "test"))
    assert train
    assert test
    assert not train & test
    if kind == "subject":
        persons = [{collection.recordings[n].subject for n in part} for part in (train, test)]
        assert not persons[0] & persons[1]
    if kind == "fold:1/3":
        assert test == {1, 4, 7, 10}
    for part in ("train", "test"):
        labels = windows.data.parts()[part].labels
        assert np.array_equal(labels, windows.groups[part] % 2)


def test_the_end_of_each_recording_is_held_out(collection: Collection) -> None:
    windows = make_windows(collection, SMALL, Split("time", 0.3))
    first = SMALL.of(collection.recordings[0].recording.part(140, 200))
    # the gain is chosen from the train part, so compare with that gain
    again = Preparation(window=50, step=25, gain=windows.preparation.gain).of(
        collection.recordings[0].recording.part(140, 200)
    )
    assert first.shape == again.shape
    stored = windows.data.test.inputs[windows.groups["test"] == 0].astype(int) - 128
    assert np.array_equal(stored, again)


def test_random_windows_are_said_to_leak(collection: Collection) -> None:
    windows = make_windows(collection, SMALL, Split("random", 0.25))
    assert Split("random").leaks
    assert not Split("subject").leaks
    train, test = (set(windows.groups[part].tolist()) for part in ("train", "test"))
    assert train & test
    total = len(windows.data.train) + len(windows.data.test)
    assert len(windows.data.test) == round(0.25 * total)


def test_splits_that_cannot_be_are_refused(collection: Collection) -> None:
    for kind in ("none", "fold:3/3", "fold:x/2"):
        with pytest.raises(InputError, match="E-CSI-SPLIT"):
            Split(kind)
    nameless = Collection(
        "n", ("a", "b"), tuple(Labelled(one.recording, one.label) for one in collection.recordings)
    )
    with pytest.raises(InputError, match=r"E-CSI-SPLIT.*persons"):
        make_windows(nameless, SMALL, Split("subject"))
    for kind, held in (("fold:0/1", 12), ("fold:14/15", 0)):
        with pytest.raises(InputError, match=rf"E-CSI-SPLIT.*{held} of 12 recordings"):
            make_windows(collection, SMALL, Split(kind))
    single = Collection("s", ("a", "b"), collection.recordings[:2])
    with pytest.raises(InputError, match=r"E-CSI-SPLIT.*one recording"):
        make_windows(single, SMALL, Split("recording"))
    with pytest.raises(InputError, match=r"E-CSI-SHORT.*5000"):
        make_windows(collection, Preparation(window=5000), Split("recording"))


def test_windows_are_stored_with_how_they_were_made(collection: Collection, tmp_path: Path) -> None:
    windows = make_windows(collection, SMALL, Split("fold:0/4"), "same")
    write_windows(windows, tmp_path / "w.npz")
    again = read_windows(tmp_path / "w.npz")
    assert again.preparation == windows.preparation
    assert again.preparation.gain > 0
    assert again.split.kind == "fold:0/4"
    assert again.reverse == "same"
    assert np.array_equal(again.groups["test"], windows.groups["test"])
    assert np.array_equal(again.data.train.inputs, windows.data.train.inputs)
    assert sample_shape(tmp_path / "w.npz") == (CHANNELS, 50)
    as_data = load(str(tmp_path / "w.npz"), input_shape=(CHANNELS, 50))
    assert as_data.class_names == ("still", "moving")
    assert from_json(as_data.notes["preparation"]) == windows.preparation
    assert np.array_equal(as_data.test.inputs, windows.data.test.inputs)
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(InputError, match=r"E-CSI-WINDOWS.*no 'usage'"):
        read_windows(tmp_path / "other.npz")
    (tmp_path / "text.csv").write_text("a,b")  # of which numpy advises to trust it
    with pytest.raises(InputError, match=r"E-CSI-WINDOWS.*\(ValueError\)"):
        read_windows(tmp_path / "text.csv")


def test_train_windows_are_also_played_backwards(collection: Collection) -> None:
    names = ("push", "pull", "walk", "still")
    labelled = tuple(Labelled(one.recording, n % 4) for n, one in enumerate(collection.recordings))
    four = Collection("four", names, labelled)
    split = Split("fold:0/3")
    plain = make_windows(four, SMALL, split)
    both = make_windows(four, SMALL, split, "push=pull")
    assert np.array_equal(both.data.test.inputs, plain.data.test.inputs)
    count = len(plain.data.train)
    assert len(both.data.train) == 2 * count
    assert both.preparation.gain == plain.preparation.gain
    forward, back = both.data.train.inputs[:count], both.data.train.inputs[count:]
    assert np.array_equal(forward, plain.data.train.inputs)
    assert np.array_equal(back, forward[:, :, ::-1])
    labels = plain.data.train.labels
    assert np.array_equal(both.data.train.labels[count:], np.array([1, 0, 2, 3])[labels])
    assert np.array_equal(both.groups["train"][count:], plain.groups["train"])
    same = make_windows(four, SMALL, split, "same")
    assert np.array_equal(same.data.train.labels[count:], labels)
    for wrong in ("push", "push=jump", "push=pull,pull=walk", "push=pull="):
        with pytest.raises(InputError, match="E-CSI-REVERSE"):
            make_windows(four, SMALL, split, wrong)


def test_a_share_of_the_train_windows_is_played_backwards(collection: Collection) -> None:
    split = Split("fold:0/3")
    whole = make_windows(collection, SMALL, split, "same")
    half = make_windows(collection, SMALL, split, "same", reverse_share=0.5)
    count = len(whole.data.train) // 2
    groups = whole.groups["train"][:count]
    rows = np.concatenate([np.flatnonzero(groups == one)[1::2] for one in np.unique(groups)])
    assert 0 < len(rows) < count
    assert np.array_equal(half.data.train.inputs[:count], whole.data.train.inputs[:count])
    assert np.array_equal(half.data.train.inputs[count:], whole.data.train.inputs[count + rows])
    assert np.array_equal(half.data.train.labels[count:], whole.data.train.labels[count + rows])
    assert np.array_equal(half.seconds["train"][count:], whole.seconds["train"][rows])
    assert np.array_equal(half.data.test.inputs, whole.data.test.inputs)
    for share in (0.0, 1.1, -0.5):
        with pytest.raises(InputError, match="E-CSI-REVERSE"):
            make_windows(collection, SMALL, split, "same", reverse_share=share)


def test_folders_and_arrays_give_the_same_packets(tmp_path: Path) -> None:
    make_folder(tmp_path / "room", 2, 1, 3.0, seed=4)
    folder = read_collection(tmp_path / "room")
    assert {one.subject for one in folder.recordings} == {"0", "1"}
    packets = [one.recording.csi for one in folder.recordings]
    sizes = [len(one) for one in packets]
    np.savez(
        tmp_path / "room.npz",
        csi=np.concatenate(packets),
        labels=np.repeat([one.label for one in folder.recordings], sizes),
        file_id=np.repeat(np.arange(len(packets)), sizes),
        class_names=np.array(folder.class_names),
    )
    arrays = read_collection(tmp_path / "room.npz")
    for one, other in zip(folder.recordings, arrays.recordings, strict=True):
        assert np.array_equal(one.recording.csi, other.recording.csi)
        assert one.label == other.label
    with pytest.raises(InputError, match="E-CSI-OUT"):
        make_folder(tmp_path / "room", 1, 1, 1.0, seed=0)


def test_arrays_have_the_clock_of_the_receiver_which_wraps(tmp_path: Path) -> None:
    packets = {"csi": np.ones((3, 128), np.int8), "labels": np.zeros(3, int)}
    for clock in ([2**32 - 10_000, 0, 10_000], [2**32 - 10_000, 2**32, 2**32 + 10_000]):
        np.savez(tmp_path / "x.npz", **packets, timestamp_us=np.array(clock))
        seconds = read_collection(tmp_path / "x.npz").recordings[0].recording.seconds
        assert seconds is not None
        assert seconds.tolist() == [0.0, 0.01, 0.02]


def test_files_of_a_folder_are_named_with_their_place(tmp_path: Path) -> None:
    make_folder(tmp_path / "room", 1, 1, 1.0, seed=0)
    (tmp_path / "room" / "sad" / "subject0_0.csv").write_text("nothing\n")
    with pytest.raises(InputError, match=r"E-CSI-EMPTY.*sad.subject0_0\.csv"):
        read_collection(tmp_path / "room")


PACKETS = {"csi": np.zeros((3, 128), np.int8), "labels": np.zeros(3, int)}


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"labels": np.zeros(3, int)}, "csi"),
        ({"csi": np.zeros((3, 100), np.int8), "labels": np.zeros(3, int)}, "int8"),
        ({"csi": np.zeros((3, 128), np.int16), "labels": np.zeros(3, int)}, "int16"),
        ({"csi": np.zeros((3, 128), np.int8), "labels": np.zeros(4, int)}, "labels"),
        ({"csi": np.zeros((3, 128), np.int8), "labels": np.zeros(3)}, "labels is float64"),
        ({**PACKETS, "labels": np.full(3, 10**12)}, "class numbers"),
        ({**PACKETS, "labels": np.full(3, -1)}, "class numbers"),
        ({**PACKETS, "timestamp_us": np.array([0, np.nan, 2])}, "timestamp_us is float64"),
        ({**PACKETS, "timestamp_us": np.array(["0", "1", "2"])}, "timestamp_us is <U1"),
        ({**PACKETS, "file_id": np.array(["a", "b", "c"])}, "file_id is <U1"),
        ({**PACKETS, "class_names": np.array("still")}, "class_names is no list"),
        (
            {
                "csi": np.zeros((2, 128), np.int8),
                "labels": np.arange(2),
                "file_id": np.zeros(2, int),
            },
            "2 classes",
        ),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], word: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=f"E-CSI-KEYS.*{word}"):
        read_collection(tmp_path / "x.npz")


def test_an_image_shows_the_frequency_of_a_movement() -> None:
    t = np.arange(600) / 100
    still = np.full((600, CHANNELS), 1000.0)
    for hertz in (5.0, 20.0):
        windows = np.rint(still + 200 * np.sin(2 * np.pi * hertz * t)[:, None])[None]
        image = log_image(windows.astype(np.int64))
        assert image.shape == (1, 32, 32, CHANNELS)
        row = int(image[0].mean(axis=(1, 2)).argmax())
        assert abs((row + 1) * 100 / 64 - hertz) < 1.6
    inputs = Preparation(form="image", gain=16).inputs(image)
    assert inputs.shape == (1, CHANNELS, 32, 32)
    with pytest.raises(InputError, match="E-CSI-WINDOW"):
        log_image(windows[:, :80].astype(np.int64))


def test_cosines_keep_strength_and_direction() -> None:
    random = np.random.default_rng(4)
    windows = random.integers(-900, 900, (2, 63, 3))
    image, whole = cosine_image(windows), windows[:, 3:]
    assert image.shape == (2, 4, 15, 3)
    power = (whole.astype(np.float64) ** 2).sum()
    assert (image.astype(np.float64) ** 2).sum() == pytest.approx(power, rel=0.01)
    assert np.abs(image[:, 0] - whole.reshape(2, 15, 4, 3).sum(2) / 2).max() <= 0.5
    turns = np.array([1, -1] * 2)[:, None, None]
    assert np.abs(cosine_image(whole[:, ::-1]) - turns * image[:, :, ::-1]).max() <= 1
    ramp = np.broadcast_to(np.arange(60)[None, :, None] * 50, (1, 60, 1))
    assert (cosine_image(ramp)[0, 1] < 0).all() and (cosine_image(-ramp)[0, 1] > 0).all()
    chosen = Preparation(channels=3, window=60, form="cosines", gain=256)
    moving = chosen.moving(whole + 1000)
    assert abs(moving[:, 0].sum()) < 60 and chosen.inputs(moving).shape == (2, 3, 4, 15)


def test_longer_segments_look_beyond_their_four_packets() -> None:
    windows = np.random.default_rng(5).integers(-900, 900, (1, 43, 2))
    long, short = cosine_image(windows, 20), cosine_image(windows)
    assert long.shape == short.shape == (1, 4, 10, 2)
    around = windows[0, 3 + 5 * 4 - 8 : 3 + 5 * 4 + 12].astype(np.float64)  # of the sixth column
    expected = dct(around, norm="ortho", axis=0)[:4]
    assert np.abs(long[0, :, 5] - expected).max() <= 0.5
    turns = np.array([1, -1] * 2)[:, None, None]
    whole = windows[:, 3:]
    assert np.abs(cosine_image(whole[:, ::-1], 20) - turns * long[:, :, ::-1]).max() <= 1
    still = np.full((1, 40, 2), 70)
    assert not cosine_image(still, 20)[:, 1:].any()  # the ends go on as they are
    chosen = Preparation(channels=2, window=40, form="cosines", segment=20)
    np.testing.assert_array_equal(
        chosen.moving(whole), cosine_image(amplitude.without_mean(whole), 20)
    )
    assert from_json(chosen.to_json()) == chosen


@pytest.mark.parametrize(
    ("segment", "form"), [(2, "cosines"), (7, "cosines"), (302, "cosines"), (8, "series")]
)
def test_segments_that_cannot_be(segment: int, form: Form) -> None:
    with pytest.raises(InputError, match=f"E-CSI-SEGMENT.*{segment}"):
        Preparation(window=600, thin=2, form=form, segment=segment)


def test_the_transformer_image_is_normalised() -> None:
    image = transformer_image(np.random.default_rng(0).normal(100, 5, (600, 4)))
    assert image.shape == (4, 224, 224)
    assert np.abs(image.mean(axis=(1, 2))).max() < 1e-4
    assert np.abs(image.std(axis=(1, 2)) - 1).max() < 1e-3


# --- answers --------------------------------------------------------------------------------------


@pytest.fixture
def network() -> Network:
    """Two classes: the sign of the first packet's sum over channels."""
    weights = np.zeros((2, CHANNELS, 50), np.int8)
    weights[0, :, 0], weights[1, :, 0] = 1, -1
    layer = Layer(
        "out", Operation.LINEAR, inputs=("input",), weight=weights.reshape(2, -1), output_width=32,
    )  # fmt: skip
    return Network("sign", (CHANNELS, 50), (layer,), ("out",), class_names=("up", "down"))


def test_answers_by_window_and_by_recording(network: Network, collection: Collection) -> None:
    windows = make_windows(collection, SMALL, Split("fold:0/2"))
    by_window, by_recording = score_windows(network, windows)
    values = windows.data.test.inputs[:, :, 0].astype(int) - 128
    down = values.sum(axis=1) < 0
    assert by_window.accuracy == pytest.approx(
        (down.astype(int) == windows.data.test.labels).mean()
    )
    assert by_recording.support.sum() == len(set(windows.groups["test"].tolist()))


def test_windows_that_were_prepared_otherwise_than_what_was_learnt_are_told(
    network: Network, collection: Collection
) -> None:
    windows = make_windows(collection, replace(SMALL, gain=40), Split("fold:0/2"))
    note = replace(windows.preparation, gain=41, step=50)
    assert differences(network, windows) == []  # it does not say how it learnt
    assert differences(replace(network, notes={"preparation": note.to_json()}), windows) == [
        "gain 40, not 41"
    ]
    wide = replace(note, subcarriers=128)
    with pytest.raises(InputError, match=r"E-CSI-SUBCARRIERS.*c has 64.*128"):
        differences(replace(network, notes={"preparation": wide.to_json()}), windows)


def test_a_recording_is_answered_in_percent(network: Network) -> None:
    recording = noise(300, 3)
    chosen = Preparation(window=50, step=25, gain=40)
    answer = answer_recording(network, chosen, recording)
    first = chosen.of(recording)[:, :, 0].astype(int).sum(axis=1)
    report = answer.to_json()
    assert report["windows"] == 11
    assert report["percent"]["down"] == pytest.approx(100 * (first < 0).mean())
    assert sum(report["mean_share"].values()) == pytest.approx(1)
    with pytest.raises(InputError, match="E-CSI-SHORT"):
        answer_recording(network, chosen, noise(30, 3))
    with pytest.raises(InputError, match=r"E-CSI-SHAPE.*\[52, 60\].*\[52, 50\]"):
        answer_recording(network, Preparation(window=60, step=25, gain=40), recording)


def test_a_stream_gives_the_answers_of_the_recording(network: Network) -> None:
    recording = noise(300, 3)
    chosen = Preparation(window=50, step=25, gain=40)
    whole = answer_recording(network, chosen, recording)
    expected = [network.class_names[n] for n in whole.shares.argmax(axis=1)]
    stream = Stream(network, chosen, majority=3)
    answers = list(stream.feed(Packet(one, -40, None) for one in recording.csi))
    assert [answer for answer, _, _ in answers] == expected
    for n, (_, majority, _) in enumerate(answers):
        last = expected[max(0, n - 2) : n + 1]
        assert last.count(majority) == max(last.count(name) for name in last)
    with pytest.raises(InputError, match="E-CSI-STREAM"):
        Stream(network, Preparation(window=50, spikes=True))


def test_a_stream_leaves_packets_of_another_size_out_and_says_when_there_are_no_others(
    network: Network,
) -> None:
    chosen = Preparation(window=50, step=50, gain=40, subcarriers=64)
    wide = Packet(np.ones(256, np.int8), -40, None)
    right = [Packet(one, -40, None) for one in noise(100, 3).csi]
    stream = Stream(network, chosen)
    assert len(list(stream.feed([wide, *right[:60], *[wide] * 49, *right[60:], wide]))) == 2
    assert stream.bad_rows == {"not 128 values": 51}
    with pytest.raises(InputError, match=r"E-CSI-SUBCARRIERS.*128.*64"):
        list(Stream(network, chosen).feed([*right, *[wide] * 50]))


def test_a_stream_with_a_median_needs_the_packets_before_its_window(network: Network) -> None:
    recording = noise(330, 3)
    chosen = Preparation(window=100, step=25, median=5, thin=2, gain=40)
    whole = answer_recording(network, chosen, recording)
    assert len(whole.shares) == (330 - 104) // 25 + 1
    answers = list(Stream(network, chosen).feed(Packet(one, -40, None) for one in recording.csi))
    assert len(answers) == len(whole.shares)
    for (_, _, shares), expected in zip(answers, whole.shares, strict=True):
        assert np.array_equal(shares, expected)
    with pytest.raises(InputError, match=r"E-CSI-SHORT.*103 packets.*104"):
        answer_recording(network, chosen, recording.part(0, 103))


def test_the_commands_go_together(tmp_path: Path, network: Network) -> None:
    from click.testing import CliRunner

    from max78k.cli.main import cli

    network.save(tmp_path / "sign.npz")
    room = tmp_path / "room"

    def run(*arguments: object) -> dict[str, object]:
        outcome = CliRunner().invoke(cli, ["csi", *map(str, arguments), "--json"])
        assert outcome.exit_code == 0, outcome.output
        return dict(json.loads(outcome.stdout))

    run("make", "--out", room, "--persons", 3, "--recordings", 1, "--seconds", 4)
    one = room / "sad" / "subject1_0.csv"
    seen = run("inspect", one, "--draw", tmp_path / "steps.png", "--window", 50)
    assert seen["subcarriers"] == 64
    assert seen["window_shape"] == [52, 50] and seen["windows"] == 1
    assert (tmp_path / "steps.png").stat().st_size > 1000
    made = run(
        "prepare", room, "--out", tmp_path / "w.npz", "--window", 50, "--step", 50,
        "--split", "subject",
    )  # fmt: skip
    assert made["leaks"] is False
    said = run("predict", tmp_path / "sign.npz", one, "--like", tmp_path / "w.npz")
    assert set(said["percent"]) == {"up", "down"}  # type: ignore[call-overload]
    assert said["bad_rows"] == {}
    chosen = read_windows(tmp_path / "w.npz").preparation
    replace(network, notes={"preparation": chosen.to_json()}).save(tmp_path / "own.npz")
    assert run("predict", tmp_path / "own.npz", one) == said
    run("prepare", room, "--out", tmp_path / "w2.npz", "--like", tmp_path / "own.npz",
        "--step", 25, "--split", "subject")  # fmt: skip
    assert read_windows(tmp_path / "w2.npz").preparation == replace(chosen, step=25)
    words = ["csi", "prepare", room, "--out", tmp_path / "w3.npz", "--like", tmp_path / "w.npz",
             "--window", 60]  # fmt: skip
    twice = CliRunner().invoke(cli, list(map(str, words)))
    assert "E-CSI-LIKE" in str(twice.exception) and "--window" in str(twice.exception)
    refused = CliRunner().invoke(cli, ["csi", "predict", str(tmp_path / "sign.npz"), str(one)])
    assert refused.exit_code != 0
    assert "E-CSI-PREPARATION" in str(refused.exception)


@pytest.mark.parametrize(
    ("packets", "words"),
    [(0, "0 packets.*needs 50.*1 x no complete"), (49, "49 packets.*needs 50")],
)
def test_a_stream_that_ends_before_the_first_answer_says_why(
    packets: int, words: str, tmp_path: Path, network: Network
) -> None:
    from click.testing import CliRunner

    from max78k.cli.main import cli

    note = Preparation(window=50, step=50, gain=40).to_json()
    replace(network, notes={"preparation": note}).save(tmp_path / "own.npz")
    lines = [*csv_text(noise(60, 3)).splitlines()[: packets + 1], "CSI_DATA,cut"]
    (tmp_path / "short.csv").write_text("\n".join(lines))
    said = CliRunner().invoke(
        cli,
        ["csi", "live", str(tmp_path / "own.npz"), "--reference", "--esp32",
         str(tmp_path / "short.csv")],
    )  # fmt: skip
    with pytest.raises(InputError, match=f"E-CSI-SHORT.*{words}"):
        raise said.exception or AssertionError(said.output)


def test_persons_differ_and_stay_themselves() -> None:
    assert person(1).rate_factor == person(1).rate_factor
    assert person(1).rate_factor != person(2).rate_factor
    means = [record("neutral", person(n), 1, seconds=2).csi.mean(axis=0) for n in (1, 1, 2)]
    assert np.array_equal(means[0], means[1])
    assert not np.allclose(means[0], means[2])
