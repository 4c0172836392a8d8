/**
 * Deliberate bugs, one at a time. Each stands for a rule of the protocol that is left out; a test shows that the simulator finds every
 * one of them, so that what it checks is known to be checked.
 */
export const MUTATIONS = {
  settle_ignores_epoch: 'a settlement of an older epoch is taken',
  writes_ignore_owner: 'an epoch may be written by whoever had it before',
  terminal_does_not_absorb: 'a job that has ended may end again',
  claim_ignores_room: 'a claim does not look at what is reserved',
  ticket_is_not_passed_on:
    'the job that a used ticket was issued for does not get the ticket of the one that was drawn',
  expire_does_not_wait: 'leases are judged right after an outage, and without their margin',
  expire_after_standstill: 'leases are judged by a call that was sent before the record stood still',
  restarts_count_as_attempts: 'what the platform lost uses up an attempt of the user',
  starts_what_has_ended: 'a container that has ended is started again',
  adoption_restarts: 'an adopted container is thrown away and made anew',
  no_check_before_start: 'a container is started without a last look at the record',
  forces_removal_of_created: 'a container that was seen as created is removed by force, though it may run by now',
  no_fence: 'a worker that cannot renew lets its containers run, and so does the reaper',
  fence_is_never_lifted_by_heirs: 'a worker does not unpause what another one has paused',
  idle_worker_vouches: 'a worker without jobs tells the reaper that all is well, whether or not the record answers it',
  lease_noted_without_grant:
    'a worker that goes tells the reaper of a long lease, whether or not the record has granted it',
  signals_without_intent: 'a container is stopped though the record could not take note why',
  kills_without_intent: 'a worker that was told to kill does not note it first',
  adopts_what_it_holds: 'a worker takes back what a neighbour took from it, while its own former attempt still goes on',
  times_out_blindly: 'a timeout is recorded while the engine is away, and with it the container perhaps',
  starts_with_old_deadline: 'a container is started though its deadline was set long ago',
  no_deadline_from_outside: 'neither neighbours nor the reaper look at deadlines',
  log_ignores_owner: 'output is stored for whoever had the epoch before',
  cancel_does_not_win: 'a recorded cancel does not overrule how the container ended',
} as const;

export type Mutation = keyof typeof MUTATIONS;
