"""Why a task stopped, is pending or misbehaves: its record, its history and what was observed in, one verdict out."""
