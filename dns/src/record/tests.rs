use super::*;

#[test]
fn a_label_is_what_a_service_may_be_called() {
    for label in ["a", "0", "web-1", "x--y", &"x".repeat(63)] {
        assert!(is_label(label), "{label}");
    }
    for other in ["", "-a", "a-", "A", "a.b", "_tcp", "*", "é", "a b", &"x".repeat(64)] {
        assert!(!is_label(other), "{other}");
    }
}
