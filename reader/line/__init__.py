"""The road side: the serial port, the readers' protocols, and the conversation with one reader."""
