"""A network with the inputs and outputs of YuNet that takes bright squares for faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
FACE_SIDE = 64  # of the box around a bright place of 32 x 32 pixels
_WIDTHS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def write_face_network(path: Path, *, dynamic: bool = False) -> Path:
    """Scores are the mean brightness of cells; boxes are centred on a cell's corner."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(name: str, value: object, kind: type = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    level = node("Conv", ["input", constant("grey", np.full((1, 3, 1, 1), 1 / 765))], "level")
    for stride in STRIDES:
        mean = node("AveragePool", [level], f"mean{stride}", kernel_shape=[stride, stride],
                    strides=[stride, stride])  # fmt: skip
        for head, width in _WIDTHS.items():
            name = f"{head}_{stride}"
            weight, bias = np.zeros((width, 1, 1, 1)), np.zeros(width)
            if head in ("cls", "obj"):
                weight[:], bias[:] = 20, -12 if stride == 32 else -40
            if head == "bbox":
                bias[2:] = np.log(FACE_SIDE / stride)
            parameters = [constant(f"w_{name}", weight), constant(f"b_{name}", bias)]
            values = node("Conv", [mean, *parameters], f"values_{name}")
            if head in ("cls", "obj"):
                values = node("Sigmoid", [values], f"score_{name}")
            turned = node("Transpose", [values], f"turned_{name}", perm=[0, 2, 3, 1])
            shape = constant(f"shape_{name}", [1, -1, width], np.int64)
            node("Reshape", [turned, shape], name)
    outputs = [
        helper.make_tensor_value_info(f"{head}_{stride}", TensorProto.FLOAT, [1, None, width])
        for head, width in _WIDTHS.items()
        for stride in STRIDES
    ]
    sides = ("height", "width") if dynamic else (640, 640)
    pictures = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *sides])
    graph = helper.make_graph(nodes, "faces", [pictures], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.save(model, str(path))
    return path
