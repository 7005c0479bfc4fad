//! The orders in which a reproduction learns the classes: the dataset's own, and random ones.

use anyhow::{Result, ensure};
use mergan_tensor::{Address, Random};

/// The classes in the order in which they are learned; `None` is the dataset's own order.
pub type Order = Option<Vec<usize>>;

/// The most classes of which orders are drawn, so that a mistyped number does not take all memory.
const MOST_CLASSES: usize = 1000;

/// Returns `count` orders of the first `classes` classes, of which no two are the same. The first is the dataset's own. Each
/// of the others is drawn with a seed of its own, so that a larger number keeps those of a smaller one.
pub fn orders(count: usize, classes: usize) -> Result<Vec<Order>> {
    if count == 1 {
        return Ok(vec![None]);
    }
    ensure!(classes <= MOST_CLASSES, "--tasks {classes} is more than {MOST_CLASSES}, for which orders are drawn");
    let possible = (1..=classes).try_fold(1, usize::checked_mul);
    ensure!(
        possible.is_none_or(|possible| count <= possible),
        "--orders {count} is too many: {classes} tasks of one class have {} orders",
        possible.unwrap_or_default()
    );
    let own: Vec<usize> = (0..classes).collect();
    let mut orders = vec![own];
    for seed in 1.. {
        if orders.len() >= count {
            break;
        }
        let order = Random::new(seed).permutation(Address::default(), classes);
        if !orders.contains(&order) {
            orders.push(order);
        }
    }
    Ok([None].into_iter().chain(orders.into_iter().skip(1).map(Some)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn orders_are_different_and_more_of_them_keep_the_first() {
        let few = orders(3, 10).unwrap();
        let many = orders(20, 10).unwrap();
        assert_eq!((few.len(), few[0].as_ref(), &many[..3]), (3, None, &few[..]));
        assert_eq!(many.iter().collect::<BTreeSet<_>>().len(), 20);
        for order in many.iter().flatten() {
            assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), (0..10).collect());
        }
        // Files of earlier calls rely on these.
        assert_eq!(few[1], Some(vec![2, 0, 3, 1, 5, 6, 7, 4, 9, 8]));
    }

    #[test]
    fn all_orders_of_few_classes_are_found_and_no_more() {
        assert_eq!(orders(6, 3).unwrap().into_iter().collect::<BTreeSet<_>>().len(), 6);
        assert_eq!((orders(1, 0).unwrap(), orders(1, usize::MAX).unwrap()), (vec![None], vec![None]));
        let refused = orders(7, 3).unwrap_err().to_string();
        assert_eq!(refused, "--orders 7 is too many: 3 tasks of one class have 6 orders");
        assert!(orders(1000, 40).is_ok(), "their number of orders has more than 64 bits");
        assert!(orders(2, usize::MAX).unwrap_err().to_string().contains("is more than 1000"));
    }
}
