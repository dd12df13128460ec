"""The service on several machines, harmed while 1,000 clients read, and its history held against every promise.

``python -m tests.rig --seed 1`` makes five machines of this one, network namespaces: a web process each on two of them,
a worker each on another two, Redis and PostgreSQL on the fifth, on disks whose power can be cut. Clients and the
provider are outside, where no fault reaches them. It needs root, iproute2, nftables and e2fsprogs.

Every ten seconds something is done to them (``faults``), and undone: what, when and to whom is up to the seed. Clients
(``load``) start streams, leave and come back at the other process, cancel, and are turned away as strangers. At the end
``verdict`` compares what they read with the database and with the provider's own count. A run that fails keeps its
logs.

``test_rig`` does the same on the loopback, small, in every run of the tests, and in full in ``make soak``.
"""
