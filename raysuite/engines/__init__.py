"""What computes a detector's forward pass: torch as it is, compiled, ONNX Runtime or OpenVINO; and export. No Ray."""
