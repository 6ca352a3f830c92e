"""What stands on each topic, for machines: JSON Schema and AsyncAPI, from the structs that the program itself uses."""

from reader.schema.asyncapi import asyncapi
from reader.schema.json_schema import NAMES, bundle, definitions, one

__all__ = ["NAMES", "asyncapi", "bundle", "definitions", "one"]
