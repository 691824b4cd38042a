"""The live page: files that a browser loads. They ask the reports API for every number and hold none themselves."""
