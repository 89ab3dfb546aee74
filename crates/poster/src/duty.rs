//! Who may post a batch, and when: the leader of its last view at once, the next member after the grace, anyone after
//! twice the grace, in L1 blocks counted from the later of the previous acceptance and the origin's maturity.

use baton_primitives::{Core, Parameters, Snapshot};
use baton_schedule::{Schedule, ScheduleError};
use std::sync::Arc;

/// Turns of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Position of the leader of the last view.
    pub leader: usize,
    /// Members of the snapshot.
    pub members: usize,
    /// L1 block from which the graces count.
    pub from: u64,
    /// L1 blocks of a turn.
    pub grace: u64,
}

impl Duty {
    /// The duty of the batch with this core, after a batch accepted in L1 block `accepted_in`.
    ///
    /// # Errors
    /// If the snapshot has no stake.
    pub fn of(
        core: &Core,
        snapshot: &Arc<Snapshot>,
        accepted_in: u64,
        parameters: &Parameters,
    ) -> Result<Self, ScheduleError> {
        let schedule = Schedule::new(Arc::clone(snapshot), core.epoch, parameters.term_views)?;
        Ok(Self {
            leader: schedule.leader_of_view(core.last_view),
            members: snapshot.members.len(),
            from: accepted_in.max(core.origin_number.saturating_add(parameters.origin_depth)),
            grace: parameters.post_grace,
        })
    }

    /// The first L1 block that this member must have seen to post; 0 for the leader, who may at once. The contract lets everyone in after two graces; the third member and
    /// those after it leave each other a block, so that they do not all send at once.
    pub const fn turn(&self, position: usize) -> u64 {
        let members = if self.members == 0 { 1 } else { self.members };
        let rank = (position + members - self.leader % members) % members;
        match rank {
            0 => 0,
            1 => self.from.saturating_add(self.grace),
            _ => self.from.saturating_add(2 * self.grace).saturating_add(rank as u64 - 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUTY: Duty = Duty { leader: 2, members: 4, from: 100, grace: 3 };

    #[test]
    fn the_leader_is_first_then_the_next_then_all_others_a_block_apart() {
        assert_eq!([2, 3, 0, 1].map(|p| DUTY.turn(p)), [0, 103, 106, 107]);
    }

    #[test]
    fn a_single_member_is_always_on_duty() {
        assert_eq!(Duty { leader: 0, members: 1, ..DUTY }.turn(0), 0);
    }

    #[test]
    fn turns_count_from_the_later_of_acceptance_and_origin_maturity() {
        let parameters = Parameters::devnet();
        let snapshot = Arc::new(crate::testing::snapshot(3));
        let core = Core { origin_number: 50, ..crate::testing::core(1, 0) };
        assert_eq!(Duty::of(&core, &snapshot, 10, &parameters).unwrap().from, 50 + parameters.origin_depth);
        assert_eq!(Duty::of(&core, &snapshot, 70, &parameters).unwrap().from, 70);
    }
}
