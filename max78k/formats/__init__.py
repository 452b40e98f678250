"""YAML, ONNX and checkpoint files to and from networks."""
