//! Real servers for tests: containerd, registries, network namespaces.
