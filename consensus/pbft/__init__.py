"""Signed PBFT over a hash chain, for up to f = (n - 1) // 3 members that lie.

After Castro and Liskov, "Practical Byzantine Fault Tolerance" (OSDI 1999; TOCS 2002), in three
phases with prepared certificates, view changes whose outcome every backup recomputes,
watermarks, and commit certificates that anyone can verify offline (``consensus.certs``).  With
fewer than four members f is 0: it runs, but tolerates no lie.

Where it deviates from the paper, and why:

1. Ed25519 signatures on every statement instead of authenticators: certificates convince third
   parties, hence no Q set, no view-change-ack.
2. The sequence number is the block height and blocks are hash-chained.  A height is prepared
   only after the height below it in the same view, so a gap is never followed by a committed
   block, null requests do not exist, and a NewView with a gap is invalid.  ``window`` heights
   are in flight, 1 unless the network says otherwise.
3. Quorums are (n + f) // 2 + 1, not the literal 2f + 1, which is unsafe at n = 5 and n = 6.
4. The PrePrepare carries the primary's Prepare signature: a certificate is a quorum over
   identical bytes.  A prepare covers every field of the proposal, not only its digest.
5. Requests are batched into blocks; no per-client replies, no tentative execution, no read-only
   optimisation (it breaks liveness).  Clients use commit certificates and cosigned checkpoints;
   a linearizable read asks a quorum for heights, not for answers (``reads``).
6. Leaving an active view needs a Suspect certificate (a quorum over one view and height), which
   travels in every ViewChange as its lineage; the paper lets each replica leave on its own.
   The paper's f + 1 join rule stays.  A view that never became active is left on the new-view
   timer alone.  The timer counts members in the view or beyond it.
7. Suspicion has a second ground: a transaction that waits ``patience_ms`` while others pass.
   The paper leaves fairness to the order in which a primary takes requests.
8. A quorum of commits decides even where this member prepared nothing; so do certificates on
   fetched blocks.
9. Stable checkpoints are the cosigned tree heads of the ledger, a separate mechanism, told to
   the engine by ``stable``.  They move the watermarks of new proposals; what is pruned goes by
   applied height, and a ViewChange shows the commit certificate of its last block.  What a view
   carries over is not held up by the mark.
10. Optionally the primary rotates by height inside a view (``rotation_blocks``); the member
    that opens a view still proposes again what it carries over.
11. The committee may change, one barrier block at a time (``epochs``); the paper has a fixed
    group of replicas.
12. Lost messages heal by comparing what members hold (``assist``), after Castro's thesis.
    Contradictions are kept as evidence (``evidence``), which the paper has no use for.
"""
