"""From a candidate to files: the ONNX graph, its int8 form, the packed model and its verification."""
