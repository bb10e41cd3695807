"""What a model will do on the chip, told by the compiler's cycle model before anything is built."""
