# Three hospitals agree to account for what happens inside: who read which record at home goes
# into a local log, and the log's root goes on the ledger again and again.
network north:author,custodian south:author,custodian west:author watch:regulator
----

# North's first batch has to say how often batches will come. Three events of the first hour;
# the tree before it was empty, its root is the SHA-256 of nothing.
later 1h
north: access.audit root=840bb13cfc15304d70b9b1d8eaa101343ac055b0fb8539f1e8b1603e35b07c16 count=3 from_ms=1767225600000 until_ms=1767229200000 previous=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 path=[]
north: access.audit root=840bb13cfc15304d70b9b1d8eaa101343ac055b0fb8539f1e8b1603e35b07c16 count=3 from_ms=1767225600000 until_ms=1767229200000 previous=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 path=[] cadence_ms=6h
ask access.chain org=north
----
access-cadence-missing
applied
known: yes
late: no
chain:
  org: north
  entries: 1
  size: 3
  root: 840bb13c..
  cadence_ms: 21600000
  due_ms: day 0 07:00:03
  since_ms: day 0 00:00:00
  covered_ms: day 0 01:00:00
entries:
  - number: 0
    kind: batch
    from_ms: day 0 00:00:00
    until_ms: day 0 01:00:00
    count: 3
    size: 3
    root: 840bb13c..
    cause: -
    late_ms: 0
    time_ms: day 0 01:00:03
    height: 3
    txid: b074a9a0..
next: -

# Nothing happened in the next hours, and North says so: a batch without events. The tree stays.
later 5h
north: access.audit root=840bb13cfc15304d70b9b1d8eaa101343ac055b0fb8539f1e8b1603e35b07c16 count=0 from_ms=1767229200000 until_ms=1767247200000 previous=840bb13cfc15304d70b9b1d8eaa101343ac055b0fb8539f1e8b1603e35b07c16 path=[]
----
applied

# Two more events. A batch must build on the last one, prove that the three events of the first
# are still in it, speak about later times, and not about times to come.
later 3h
north: access.audit root=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e count=2 from_ms=1767247200000 until_ms=1767258000000 previous=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 path=["b369e9f19f93458084f9d8f6f0822d8a6f149a7d6b54ee68fdcbaa4038f5965e","5a0a77b4557b63ba819c8ea202a30d9db583e5ddfa33b1f8b4cf60019a1a52f4","5480c42e8d21dd85cf6a15addb796a41d7876370401aab822647dcbf18a165a0","8951541a68ae319f7766b0d7858506d1d24b34fab3b6abb02ab58a10c3ec4560"]
north: access.audit root=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e count=2 from_ms=1767247200000 until_ms=1767258000000 previous=840bb13cfc15304d70b9b1d8eaa101343ac055b0fb8539f1e8b1603e35b07c16 path=["5a0a77b4557b63ba819c8ea202a30d9db583e5ddfa33b1f8b4cf60019a1a52f4","b369e9f19f93458084f9d8f6f0822d8a6f149a7d6b54ee68fdcbaa4038f5965e","5480c42e8d21dd85cf6a15addb796a41d7876370401aab822647dcbf18a165a0","8951541a68ae319f7766b0d7858506d1d24b34fab3b6abb02ab58a10c3ec4560"]
north: access.audit root=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e count=2 from_ms=1767243600000 until_ms=1767258000000 previous=840bb13cfc15304d70b9b1d8eaa101343ac055b0fb8539f1e8b1603e35b07c16 path=["b369e9f19f93458084f9d8f6f0822d8a6f149a7d6b54ee68fdcbaa4038f5965e","5a0a77b4557b63ba819c8ea202a30d9db583e5ddfa33b1f8b4cf60019a1a52f4","5480c42e8d21dd85cf6a15addb796a41d7876370401aab822647dcbf18a165a0","8951541a68ae319f7766b0d7858506d1d24b34fab3b6abb02ab58a10c3ec4560"]
north: access.audit root=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e count=2 from_ms=1767247200000 until_ms=1767261600000 previous=840bb13cfc15304d70b9b1d8eaa101343ac055b0fb8539f1e8b1603e35b07c16 path=["b369e9f19f93458084f9d8f6f0822d8a6f149a7d6b54ee68fdcbaa4038f5965e","5a0a77b4557b63ba819c8ea202a30d9db583e5ddfa33b1f8b4cf60019a1a52f4","5480c42e8d21dd85cf6a15addb796a41d7876370401aab822647dcbf18a165a0","8951541a68ae319f7766b0d7858506d1d24b34fab3b6abb02ab58a10c3ec4560"]
north: access.audit root=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e count=2 from_ms=1767247200000 until_ms=1767258000000 previous=840bb13cfc15304d70b9b1d8eaa101343ac055b0fb8539f1e8b1603e35b07c16 path=["b369e9f19f93458084f9d8f6f0822d8a6f149a7d6b54ee68fdcbaa4038f5965e","5a0a77b4557b63ba819c8ea202a30d9db583e5ddfa33b1f8b4cf60019a1a52f4","5480c42e8d21dd85cf6a15addb796a41d7876370401aab822647dcbf18a165a0","8951541a68ae319f7766b0d7858506d1d24b34fab3b6abb02ab58a10c3ec4560"]
ask access.gaps org=north
----
access-audit-fork
access-audit-inconsistent
access-audit-overlap
access-audit-future
applied
known: yes
entries: 3
spans: -
late: -
next: -

# South has not begun: it has no log to declare a gap in. It says how often it will report.
# West never said anything, which is an answer as well.
south: access.gap from_ms=1767225600000 until_ms=1767229200000 cause=power
south: access.cadence cadence_ms=12h
ask access.gaps org=south
ask access.gaps org=west
----
access-chain-missing
applied
known: yes
entries: 0
spans: -
late: -
next: -
known: no
entries: 0
spans: -
late: -
next: -

# The night after, North's log server is down for two hours. North declares that, and goes on
# with a batch that leaves half an hour unmentioned. Nobody has to declare it: it is computed,
# and once the next batch is there it cannot be explained away.
later 5h
north: access.gap from_ms=1767258000000 until_ms=1767265200000 cause=maintenance
north: access.audit root=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e count=0 from_ms=1767267000000 until_ms=1767276000000 previous=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e path=[]
north: access.gap from_ms=1767265200000 until_ms=1767267000000 cause=network
ask access.gaps org=north
----
applied
applied
access-audit-overlap
known: yes
entries: 5
spans:
  - kind: declared
    from_ms: day 0 09:00:00
    until_ms: day 0 11:00:00
    cause: maintenance
    before: 3
  - kind: undeclared
    from_ms: day 0 11:00:00
    until_ms: day 0 11:30:00
    cause: -
    before: 4
late: -
next: -

# Then North falls silent. A longer cadence does not help: what is due stays due. The regulator
# sees the open end grow, and which batch came late afterwards.
north: access.cadence cadence_ms=2d
later 12h
ask access.gaps org=north start=4
north: access.audit root=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e count=0 from_ms=1767276000000 until_ms=1767319200000 previous=69836f604cda2c2d31c35d600d250e13461d053bc898a47dece3780d1a19eb7e path=[]
ask access.gaps org=north start=4
ask access.chain org=north start=5 limit=1
----
applied
known: yes
entries: 5
spans:
  - kind: undeclared
    from_ms: day 0 11:00:00
    until_ms: day 0 11:30:00
    cause: -
    before: 4
  - kind: undeclared
    from_ms: day 0 14:00:00
    until_ms: day 1 02:00:19
    cause: -
    before: 5
late: -
next: -
applied
known: yes
entries: 6
spans:
  - kind: undeclared
    from_ms: day 0 11:00:00
    until_ms: day 0 11:30:00
    cause: -
    before: 4
late: 5
next: -
known: yes
late: no
chain:
  org: north
  entries: 6
  size: 5
  root: 69836f60..
  cadence_ms: 172800000
  due_ms: day 3 02:00:20
  since_ms: day 0 00:00:00
  covered_ms: day 1 02:00:00
entries:
  - number: 5
    kind: batch
    from_ms: day 0 14:00:00
    until_ms: day 1 02:00:00
    count: 0
    size: 5
    root: 69836f60..
    cause: -
    late_ms: 21604000
    time_ms: day 1 02:00:20
    height: 20
    txid: 137e8c28..
next: -

# South let its own cadence pass without a single batch. That is among what it owes, and all of
# the time since it promised batches is accounted for by nobody.
ask access.overdue org=south
ask access.gaps org=south
----
count: 0
duties: -
batch_late: yes
next: -
known: yes
entries: 0
spans:
  - kind: undeclared
    from_ms: day 0 09:00:13
    until_ms: day 1 02:00:20
    cause: -
    before: 0
late: -
next: -
