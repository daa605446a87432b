"""The design system: template tags, list, CSV and live-update helpers, styles. Imports none of our apps."""
