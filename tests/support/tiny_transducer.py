"""A transducer of a kilobyte in the form of NVIDIA's Parakeet: it hears no words, only whether somebody beeps.

It has Parakeet's inputs, outputs and files, and so goes through the library's own features, encoder and token-and-duration decoding.
Each eight hundredths of a second that are louder than the average begin a word or go on with it; the first quiet ones end the sentence.
"""

import io
import json
import wave
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLE_RATE = 16_000
FEATURES, STRIDE, DURATIONS = 128, 8, 5
VOCABULARY = ("\u2581beep", "beep", ".", "<blk>")
"""The beginning of a word, more of it, the end of a sentence, and nothing."""


def write_model(folder: Path) -> None:
    """Everything that onnx-asr looks for in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_encoder(), folder / "encoder-model.onnx")
    onnx.save(_decoder(), folder / "decoder_joint-model.onnx")
    (folder / "vocab.txt").write_text("".join(f"{token} {index}\n" for index, token in enumerate(VOCABULARY)))
    (folder / "config.json").write_text(
        json.dumps(
            {"model_type": "nemo-conformer-tdt", "features_size": FEATURES, "subsampling_factor": STRIDE}
        )
    )


def beeps(seconds: float, *times: tuple[float, float]) -> bytes:
    """A WAV file with noise from each begin to its end, and almost silence elsewhere."""
    rng = np.random.default_rng(7)
    samples = rng.normal(0, 10, int(seconds * SAMPLE_RATE))
    for begin, end in times:
        loud = slice(int(begin * SAMPLE_RATE), int(end * SAMPLE_RATE))
        samples[loud] += rng.normal(0, 6_000, len(samples[loud]))
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(SAMPLE_RATE)
        made.writeframes(samples.clip(-32_000, 32_000).astype("<i2").tobytes())
    return file.getvalue()


def _value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes: list, inputs: list, outputs: list, **constants: np.ndarray) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _encoder() -> onnx.ModelProto:
    """The average of eight frames at a time."""
    return _model(
        [
            helper.make_node(
                "AveragePool",
                ["audio_signal"],
                ["outputs"],
                kernel_shape=[STRIDE],
                strides=[STRIDE],
                ceil_mode=1,
            ),
            helper.make_node("Sub", ["length", "one"], ["less"]),
            helper.make_node("Div", ["less", "stride"], ["whole"]),
            helper.make_node("Add", ["whole", "one"], ["encoded_lengths"]),
        ],
        [
            _value("audio_signal", TensorProto.FLOAT, "batch", FEATURES, "time"),
            _value("length", TensorProto.INT64, "batch"),
        ],
        [
            _value("outputs", TensorProto.FLOAT, "batch", FEATURES, "steps"),
            _value("encoded_lengths", TensorProto.INT64, "batch"),
        ],
        one=np.array(1, np.int64),
        stride=np.array(STRIDE, np.int64),
    )


def _decoder() -> onnx.ModelProto:
    """What is likeliest by loudness, and by whether a word is being said, which the token before tells."""
    outside, inside = [1.0, 0.0, 0.0, -1.0], [0.0, 1.0, -1.0, 0.0]
    zeros = [0.0] * DURATIONS
    states = [("input_states_1", "output_states_1"), ("input_states_2", "output_states_2")]
    return _model(
        [
            helper.make_node("ReduceMean", ["encoder_outputs"], ["mean"], axes=[1, 2], keepdims=0),
            helper.make_node("Mul", ["mean", "outside"], ["hot"]),
            helper.make_node("Cast", ["targets"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMin", ["number"], ["first"], keepdims=0),
            helper.make_node("Less", ["first", "limit"], ["was"]),
            helper.make_node("Cast", ["was"], ["on"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["mean", "change"], ["also"]),
            helper.make_node("Mul", ["also", "on"], ["continued"]),
            helper.make_node("Add", ["hot", "continued"], ["scores"]),
            helper.make_node("Add", ["scores", "bias"], ["sum"]),
            helper.make_node("Reshape", ["sum", "shape"], ["outputs"]),
            *(helper.make_node("Identity", [before], [after]) for before, after in states),
        ],
        [
            _value("encoder_outputs", TensorProto.FLOAT, "batch", FEATURES, 1),
            _value("targets", TensorProto.INT32, "batch", 1),
            _value("target_length", TensorProto.INT32, "batch"),
            *(_value(before, TensorProto.FLOAT, 1, "batch", 4) for before, _ in states),
        ],
        [
            _value("outputs", TensorProto.FLOAT, "batch", 1, 1, len(VOCABULARY) + DURATIONS),
            *(_value(after, TensorProto.FLOAT, 1, "batch", 4) for _, after in states),
        ],
        outside=np.array([*outside, *zeros], np.float32),
        change=np.array([*(to - of for to, of in zip(inside, outside, strict=True)), *zeros], np.float32),
        # Of the durations the second is always the likeliest: one step.
        bias=np.array([0, 0, 0, 0, 0, 1, 0, 0, 0], np.float32),
        limit=np.array(1.5, np.float32),
        shape=np.array([1, 1, 1, len(VOCABULARY) + DURATIONS], np.int64),
    )
