"""The project: settings, URLs, launcher, embedded services, design system. Imports every app, is imported by none."""
