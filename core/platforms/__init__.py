"""Where assets live and conversions run: one protocol, one module per platform."""
