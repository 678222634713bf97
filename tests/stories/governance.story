# Three hospitals found a network. All of them order blocks, so all of them vote.
network alder:author,custodian birch:author cedar:author
ask governance.policies
----
voters: alder, birch, cedar
policies:
  - topic: engine
    needed: 3
    policy:
      threshold_bp: 7500
      wait_ms: 604800000
      window_ms: 2592000000
      execute_ms: 2592000000
  - topic: features
    needed: 3
    policy:
      threshold_bp: 7500
      wait_ms: 604800000
      window_ms: 2592000000
      execute_ms: 2592000000
  - topic: incident-policy
    needed: 2
    policy:
      threshold_bp: 5000
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: institution
    needed: 2
    policy:
      threshold_bp: 6666
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: keys
    needed: 2
    policy:
      threshold_bp: 6666
      wait_ms: 3600000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: legal
    needed: 2
    policy:
      threshold_bp: 5000
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: membership
    needed: 2
    policy:
      threshold_bp: 6666
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: parameters
    needed: 2
    policy:
      threshold_bp: 6666
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: rules
    needed: 3
    policy:
      threshold_bp: 7500
      wait_ms: 604800000
      window_ms: 2592000000
      execute_ms: 2592000000
limits:
  gdpr_authority_hours: 72
  hipaa_persons_days: 60
  hipaa_authority_days: 60
expires_heights_max: 100000

# A pharmacy wants to join. It cannot be proposed without its own key: nobody is registered
# under a key that somebody else holds.
alder: governance.propose proposal=@join register={"id":"pharmacy","name":"Pharmacy","roles":["dispenser"],"identity_key":"key:pharmacy/identity","consensus_key":"key:pharmacy/vote","cosigner_key":"key:pharmacy/head","encryption_key":"key:pharmacy/seal","validator":false}
alder: governance.propose proposal=@join register={"id":"pharmacy","name":"Pharmacy","roles":["dispenser"],"identity_key":"key:pharmacy/identity","consensus_key":"key:pharmacy/vote","cosigner_key":"key:pharmacy/head","encryption_key":"key:pharmacy/seal","validator":true} +pharmacy/identity
alder: governance.propose proposal=@join register={"id":"pharmacy","name":"Pharmacy","roles":["dispenser"],"identity_key":"key:pharmacy/identity","consensus_key":"key:pharmacy/vote","cosigner_key":"key:pharmacy/head","encryption_key":"key:pharmacy/seal","validator":false} +pharmacy/identity
alder: governance.vote proposal=@join yes=true
alder: governance.execute proposal=@join
ask governance.proposal proposal=@join
----
governance-key-unproven
governance-adds-validator
applied
applied
governance-threshold-missing
known: yes
proposal: @join
status: open
topic: institution
org: alder
body:
  proposal: @join
  register:
    id: pharmacy
    name: Pharmacy
    roles: dispenser
    identity_key: key:pharmacy/identity
    consensus_key: key:pharmacy/vote
    cosigner_key: key:pharmacy/head
    encryption_key: key:pharmacy/seal
    validator: no
  roles: -
  suspend: -
  resume: -
  document: -
  expires_heights_max: -
  policy: -
  limits: -
  admit: -
  demote: -
  remove: -
  engine: -
  replace_keys: -
  feature: -
made_height: 3
made_ms: day 0 00:00:03
vote_until_ms: day 14 00:00:03
yes: alder
no: -
waiting_for: birch, cedar
voters: 3
needed: 2
missing: 1
execute_from_ms: -
execute_until_ms: -
may_execute: no
closed_height: -

# One vote is not enough, and nobody votes twice. The second one decides; then a day passes in
# which whoever lost can prepare.
alder: governance.vote proposal=@join yes=true
birch: governance.vote proposal=@join yes=true
cedar: governance.execute proposal=@join
later 1d
cedar: governance.execute proposal=@join
cedar: governance.vote proposal=@join yes=false
ask governance.roles org=pharmacy
ask governance.roles org=pharmacy at_height=3
----
governance-voted-already
applied
governance-waiting
applied
governance-proposal-closed
known: yes
org: pharmacy
height: 11
roles: dispenser
suspended: no
from_height: 10
proposal: @join
validator: no
known: no
org: pharmacy
height: 3
roles: -
suspended: no
from_height: 0
proposal: -
validator: no

# The pharmacy belongs now, but it is no voter.
pharmacy: governance.propose proposal=@more roles={"org":"pharmacy","roles":["dispenser","supplier"]}
pharmacy: governance.vote proposal=@more yes=true
birch: governance.withdraw proposal=@more
birch: governance.vote proposal=@more yes=false
cedar: governance.vote proposal=@more yes=false
ask governance.proposal proposal=@more
alder: governance.vote proposal=@more yes=true
----
applied
governance-not-voter
governance-not-proposer
applied
applied
known: yes
proposal: @more
status: rejected
topic: institution
org: pharmacy
body:
  proposal: @more
  register: -
  roles:
    org: pharmacy
    roles: dispenser, supplier
  suspend: -
  resume: -
  document: -
  expires_heights_max: -
  policy: -
  limits: -
  admit: -
  demote: -
  remove: -
  engine: -
  replace_keys: -
  feature: -
made_height: 12
made_ms: day 1 00:00:12
vote_until_ms: day 15 00:00:12
yes: -
no: birch, cedar
waiting_for: -
voters: 3
needed: 2
missing: 2
execute_from_ms: -
execute_until_ms: -
may_execute: no
closed_height: 16
governance-proposal-closed

# Its key is stolen. Suspension does not wait: from then on it can do nothing.
alder: governance.propose proposal=@stop suspend=pharmacy
alder: governance.vote proposal=@stop yes=true
cedar: governance.vote proposal=@stop yes=true
alder: governance.execute proposal=@stop
pharmacy: governance.propose proposal=@mine roles={"org":"pharmacy","roles":["payer"]}
ask governance.roles org=pharmacy
----
applied
applied
applied
applied
unknown-signer
known: yes
org: pharmacy
height: 22
roles: dispenser
suspended: yes
from_height: 21
proposal: @stop
validator: no

# Birch's keys are stolen as well. It goes on ordering blocks, but has no say; and cedar stays,
# because alone alder could never bring the others back.
alder: governance.propose proposal=@stop-birch suspend=birch
alder: governance.vote proposal=@stop-birch yes=true
cedar: governance.vote proposal=@stop-birch yes=true
alder: governance.execute proposal=@stop-birch
birch: governance.vote proposal=@stop-birch yes=false
alder: governance.propose proposal=@stop-cedar suspend=cedar
alder: governance.propose proposal=@again suspend=pharmacy
alder: governance.propose proposal=@resume-cedar resume=cedar
alder: governance.propose proposal=@birch resume=birch
alder: governance.vote proposal=@birch yes=true
cedar: governance.vote proposal=@birch yes=true
later 1d
cedar: governance.execute proposal=@birch
----
applied
applied
applied
applied
unknown-signer
governance-deadlock
governance-suspended
governance-not-suspended
applied
applied
applied
applied

# The pharmacy has new devices and comes back; what it was in between stays known.
birch: governance.propose proposal=@back resume=pharmacy
alder: governance.vote proposal=@back yes=true
birch: governance.vote proposal=@back yes=true
later 1d
birch: governance.execute proposal=@back
ask governance.roles org=pharmacy
ask governance.roles org=pharmacy at_height=30
pharmacy: governance.legalbasis purpose=TREAT basis=contract condition=9-2-h
pharmacy: governance.legalbasis purpose=TREAT basis=contract condition=9-2-h
ask governance.grounds org=pharmacy
----
applied
applied
applied
applied
known: yes
org: pharmacy
height: 40
roles: dispenser
suspended: no
from_height: 40
proposal: @back
validator: no
known: yes
org: pharmacy
height: 30
roles: dispenser
suspended: yes
from_height: 21
proposal: @stop
validator: no
applied
governance-legalbasis-same
org: pharmacy
height: 42
grounds:
  - purpose: TREAT
    row:
      basis: contract
      condition: 9-2-h
      from_height: 41
      from_ms: day 3 00:00:41

# Documents: who controls what jointly, version by version.
alder: governance.propose proposal=@agreement document={"kind":"joint-controllers","version":1,"digest":"@agreement-1"}
birch: governance.vote proposal=@agreement yes=true
cedar: governance.vote proposal=@agreement yes=true
later 2d
alder: governance.execute proposal=@agreement
alder: governance.propose proposal=@old document={"kind":"joint-controllers","version":1,"digest":"@agreement-1"}
ask governance.documents
ask governance.documents at_height=12
----
applied
applied
applied
applied
governance-document-old
height: 48
documents:
  - kind: joint-controllers
    version: 1
    digest: @agreement-1
    from_height: 47
    from_ms: day 5 00:00:47
    proposal: @agreement
height: 12
documents: -

# A vote after its window has no effect; a decision that nobody executes lapses.
alder: governance.propose proposal=@ahead expires_heights_max=5000
alder: governance.propose proposal=@terms document={"kind":"terms","version":1,"digest":"@terms-1"}
birch: governance.vote proposal=@terms yes=true
cedar: governance.vote proposal=@terms yes=true
ask governance.proposals
later 15d
birch: governance.vote proposal=@ahead yes=true
later 30d
alder: governance.execute proposal=@terms
alder: governance.execute proposal=@ahead
ask governance.proposals
----
applied
applied
applied
applied
proposals:
  - known: yes
    proposal: @ahead
    status: open
    topic: parameters
    org: alder
    body:
      proposal: @ahead
      register: -
      roles: -
      suspend: -
      resume: -
      document: -
      expires_heights_max: 5000
      policy: -
      limits: -
      admit: -
      demote: -
      remove: -
      engine: -
      replace_keys: -
      feature: -
    made_height: 49
    made_ms: day 5 00:00:49
    vote_until_ms: day 19 00:00:49
    yes: -
    no: -
    waiting_for: alder, birch, cedar
    voters: 3
    needed: 2
    missing: 2
    execute_from_ms: -
    execute_until_ms: -
    may_execute: no
    closed_height: -
  - known: yes
    proposal: @terms
    status: open
    topic: legal
    org: alder
    body:
      proposal: @terms
      register: -
      roles: -
      suspend: -
      resume: -
      document:
        kind: terms
        version: 1
        digest: @terms-1
        from_height: 0
      expires_heights_max: -
      policy: -
      limits: -
      admit: -
      demote: -
      remove: -
      engine: -
      replace_keys: -
      feature: -
    made_height: 50
    made_ms: day 5 00:00:50
    vote_until_ms: day 19 00:00:50
    yes: birch, cedar
    no: -
    waiting_for: alder
    voters: 3
    needed: 2
    missing: 0
    execute_from_ms: day 6 00:00:52
    execute_until_ms: day 36 00:00:52
    may_execute: no
    closed_height: -
next: -
governance-vote-late
governance-execute-late
governance-proposal-closed
proposals: -
next: -
