"""The rules by what they are about; `core.rules` is the door to them."""
