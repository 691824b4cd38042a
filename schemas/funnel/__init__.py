"""The funnel definition: model, loading, durations, presets and the wording of errors. Import from the modules."""
