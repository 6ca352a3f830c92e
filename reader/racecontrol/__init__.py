"""The other half: what race control runs to receive what the mats tell."""
