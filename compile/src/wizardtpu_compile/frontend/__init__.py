"""The other way to a bmodel: ONNX, and the vendor's own front end and driver. For debugging: slow, much memory."""
