"""What the ONNX graphs of both families are made with: nodes, constants, and weights that stay in the weights file.

The weights are declared as external data under the names of the weights file's tensors; whoever makes a session hands
the tensors over.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 10


class Graph:
    """Collects nodes; every method that adds one gives the name of its output."""

    def __init__(self, weights):
        self.weights = weights  # {tensor name: array}
        self.nodes, self.constants, self.used = [], [], {}

    def add(self, op, *inputs, output=None, **attributes):
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name):
        return self.external(name, self.weights[name].shape)

    def external(self, name, shape, kind=TensorProto.FLOAT):
        """An initializer that whoever makes a session hands over."""
        self.used[name] = _external(name, shape, kind)
        return name

    def model(self, name, inputs, outputs):
        """The ModelProto; external initializers are placeholders of the right shape."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, [*self.constants, *self.used.values()])
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="odpiece")


def _external(name, shape, kind):
    tensor = TensorProto(name=name, data_type=kind, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    size = helper.tensor_dtype_to_np_dtype(kind).itemsize * int(np.prod(shape))
    for key, value in (("location", "weights"), ("offset", "0"), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    return tensor
