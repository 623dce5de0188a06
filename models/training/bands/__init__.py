"""How the networks and tables of the bands family are made.

pca.py              where training starts
objective.py        what it lowers
optimizers.py       how
loop.py             the tokenizer and the float prior together
prior_loop.py       the prior alone
look_loop.py        the natural look alone; contrast.py what it lowers
validation.py       the table of a run
quantized_prior.py  the float prior as integers
graph.py            the networks as ONNX graphs; gradient_graph.py the gradient of the squared error
export.py           the weights file
"""
