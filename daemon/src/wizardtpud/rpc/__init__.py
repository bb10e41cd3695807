"""The gRPC edge: messages become requests, events become messages, errors become statuses."""
