"""Signed PBFT over a hash chain, for up to f = (n - 1) // 3 members that lie.

After Castro and Liskov, "Practical Byzantine Fault Tolerance" (OSDI 1999), in three phases with
prepared certificates, view changes whose outcome every backup recomputes, and commit
certificates that anyone can verify offline (``consensus.certs``).  With fewer than four members
f is 0: it runs, but tolerates no lie.

Where it deviates from the paper, and why:

1. Ed25519 signatures on every statement instead of authenticators: certificates convince third
   parties, hence no Q set, no view-change-ack.
2. The sequence number is the block height and blocks are hash-chained.  A gap can never be
   followed by a committed block, so null requests do not exist; one block is in flight
   (``window`` 1), and slots are keyed by height so that more can follow.
3. Quorums are (n + f) // 2 + 1, not the literal 2f + 1, which is unsafe at n = 5 and n = 6.
4. The PrePrepare carries the primary's Prepare signature: a certificate is a quorum over
   identical bytes.  A prepare covers every field of the proposal, not only its digest.
5. Requests are batched into blocks; no per-client replies, no tentative execution, no read-only
   optimisation.  Clients use commit certificates and cosigned checkpoints.
6. Leaving an active view needs a Suspect certificate (a quorum over one view and height), which
   travels in every ViewChange as its lineage; the paper lets each replica leave on its own.
   The paper's f + 1 join rule stays.  A view that never became active is left on the new-view
   timer alone.  The timer counts members in the view or beyond it.
7. A quorum of commits decides even where this member prepared nothing; so do certificates on
   fetched blocks.
8. Stable checkpoints are the cosigned tree heads of the ledger, a separate mechanism.  State is
   pruned by applied height, and a ViewChange shows the commit certificate of its last block.
9. No scheduled rotation of the primary inside a view; no evidence messages: contradictions are
   counted.
"""
