"""How One-D-Piece networks are trained, started and imported.

start.py      weights from which training gets anywhere
loop.py       training with Tail Token Drop
processes.py  on several GPUs
graph.py      the networks as ONNX graphs
published.py  published weights as a model
"""
