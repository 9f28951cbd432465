//! The kernel programs: what runs when a socket connects, sends, receives or asks for its peer.
//!
//! ```text
//! hooks/*  entry points ─▶ lb  frontend, backend ─▶ maps/*  typed look-ups ─▶ abi
//!    └▶ ctx  the socket's context                └▶ verdict  return codes
//! ```
//!
//! Load balancing fails open: what no frontend claims passes untouched. See `docs/packet-walk.md`.

#![no_std]
#![no_main]
// Atomic adds need inline assembly on this target: its default CPU has no other form that Linux 5.10 takes.
#![feature(asm_experimental_arch)]
// The only compare-and-swap that this target has.
#![feature(core_intrinsics)]
#![allow(internal_features, reason = "see above")]
#![deny(unsafe_op_in_unsafe_fn)]

mod answer;
mod config;
mod ctx;
mod flow;
mod forward;
mod helpers;
mod hooks;
mod lb;
mod maps;
mod nat;
mod policy;
mod related;
mod stats;
mod subject;
mod verdict;
mod work;

/// No panic path survives compilation: the verifier refuses a program that could reach this.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers such as `bpf_set_retval` are for programs under a GPL-compatible licence only.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
