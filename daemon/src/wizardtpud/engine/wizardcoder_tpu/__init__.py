"""The forward pass over the networks of the published WizardCoder bmodels."""
