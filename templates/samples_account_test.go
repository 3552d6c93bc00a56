package templates

func accountSamples() map[string]any { return map[string]any{} }
