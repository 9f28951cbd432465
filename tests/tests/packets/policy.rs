//! NetworkPolicy between real pods: whole tables of who reaches whom, both families, both wirings of pods, on one node and
//! across nodes.

mod changes;
mod early;
mod flows;
mod nodes;
mod restart;
mod tables;
mod town;
