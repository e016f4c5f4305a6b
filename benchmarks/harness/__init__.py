"""What the benchmark scripts share: servers, load generator, certificates, report."""
