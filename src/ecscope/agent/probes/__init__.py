"""What `ecscope doctor` asks of the host, the engine and AWS. Each probe reads one fact and changes nothing."""
