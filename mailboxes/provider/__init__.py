"""The port to mail systems. `port` holds its vocabulary and types, `errors` what may go wrong; `ews` and `memory` fit it."""
