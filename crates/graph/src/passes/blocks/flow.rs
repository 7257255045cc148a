//! How data flows: what reads what, and through which node everything must pass on its way there and on its way out.
//!
//! Points are the graph's inputs, then its nodes, so that an edge always leads to a higher number. What hangs on
//! constants alone carries no data and is left out.

use super::weighted;
use crate::{Graph, NodeId, ValueId};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Most nodes of a region: a block is a matter of tens.
const NODES: usize = 1000;

pub(super) struct Flow {
    /// Points that feed a point, by point.
    feeds: Vec<Vec<usize>>,
    /// Points that read a point, by point.
    readers: Vec<Vec<usize>>,
    /// Whether data flows through the point.
    data: Vec<bool>,
    /// Whether the point gives a result of the graph.
    result: Vec<bool>,
    /// Whether the point is a node with a weight.
    weighted: Vec<bool>,
    /// The last point that all ways to a point share.
    before: Tree,
    /// The first point that all ways from a point share.
    after: Tree,
    /// Number of graph inputs.
    inputs: usize,
}

impl Flow {
    pub(super) fn new(graph: &Graph) -> Flow {
        let inputs = graph.inputs.len();
        let points = inputs + graph.nodes.len();
        let results: HashSet<ValueId> = graph.outputs.iter().copied().collect();
        let mut source: HashMap<ValueId, usize> = graph.inputs.iter().copied().zip(0..).collect();
        let mut flow = Flow {
            feeds: vec![Vec::new(); points],
            readers: vec![Vec::new(); points],
            data: vec![true; points],
            result: vec![false; points],
            weighted: vec![false; points],
            before: Tree::default(),
            after: Tree::default(),
            inputs,
        };
        for (n, node) in graph.nodes.iter().enumerate() {
            let point = inputs + n;
            let read = node.inputs.iter().map(|v| source.get(&(*v)?).copied());
            let read: Vec<Option<usize>> = read.map(|p| p.filter(|&p| flow.data[p])).collect();
            flow.weighted[point] = weighted(node, |i| read[i].is_none() && node.input(i).is_some());
            let distinct: BTreeSet<usize> = read.into_iter().flatten().collect();
            flow.data[point] = !distinct.is_empty();
            distinct.iter().for_each(|&p| flow.readers[p].push(point));
            flow.feeds[point] = distinct.into_iter().collect();
            source.extend(node.outputs.iter().map(|&o| (o, point)));
            flow.result[point] = node.outputs.iter().any(|o| results.contains(o));
        }
        // Graph inputs hang below one root, results above one end.
        flow.before = Tree::grow(0..points, &flow.feeds, |_| false);
        flow.after = Tree::grow((0..points).rev(), &flow.readers, |p| flow.result[p]);
        flow
    }

    pub(super) fn point(&self, n: NodeId) -> usize {
        self.inputs + n.0
    }

    pub(super) fn node(&self, point: usize) -> NodeId {
        NodeId(point - self.inputs)
    }

    pub(super) fn is_weighted(&self, n: NodeId) -> bool {
        self.weighted[self.point(n)]
    }

    /// Points that feed a node.
    pub(super) fn feeds(&self, n: NodeId) -> &[usize] {
        &self.feeds[self.point(n)]
    }

    /// Where the ways that meet in a node part: the last point that all of them share.
    pub(super) fn fork(&self, n: NodeId) -> Option<usize> {
        self.before.parent[self.point(n)]
    }

    /// Where all ways from a node meet again.
    pub(super) fn meeting(&self, n: NodeId) -> Option<NodeId> {
        self.after.parent[self.point(n)].map(|p| self.node(p))
    }

    /// The nodes after point `from` up to `to`, if `from` is the only way in, `to` the only way out, and no more than
    /// `weights` of them have weights.
    pub(super) fn region(&self, from: usize, to: NodeId, weights: usize) -> Option<BTreeSet<NodeId>> {
        let to = self.point(to);
        let mut found = BTreeSet::from([to]);
        let (mut open, mut heavy) = (vec![to], 0);
        while let Some(point) = open.pop() {
            heavy += usize::from(self.weighted[point]);
            for &feed in self.feeds[point].iter().filter(|&&p| p != from) {
                // Lower numbers are not after `from`, so this is another way in.
                if feed < from || feed < self.inputs {
                    return None;
                }
                if found.insert(feed) {
                    open.push(feed);
                }
            }
            if heavy > weights || found.len() > NODES {
                return None;
            }
        }
        let inner = found.iter().filter(|&&p| p != to);
        let leaks = |&p: &usize| self.result[p] || self.readers[p].iter().any(|r| !found.contains(r));
        (!inner.copied().any(|p| leaks(&p))).then(|| found.iter().map(|&p| self.node(p)).collect())
    }
}

/// A tree over points, with shortcuts towards the root so that meeting points are found in logarithmic time: a hostile
/// file may be a chain of a million nodes.
#[derive(Default)]
struct Tree {
    /// `None` is the root.
    parent: Vec<Option<usize>>,
    /// An ancestor some way up.
    jump: Vec<Option<usize>>,
    depth: Vec<usize>,
}

impl Tree {
    /// Hangs each point, in the order given, below the meeting point of all those in `above`: below the root if there are
    /// none, or if `at_root`.
    fn grow(
        order: impl Iterator<Item = usize>,
        above: &[Vec<usize>],
        at_root: impl Fn(usize) -> bool,
    ) -> Tree {
        let empty = vec![None; above.len()];
        let mut tree = Tree { parent: empty.clone(), jump: empty, depth: vec![1; above.len()] };
        for point in order {
            let mut all = above[point].iter().copied().map(Some);
            let parent = match all.next() {
                Some(first) if !at_root(point) => all.fold(first, |a, b| tree.meet(a, b)),
                _ => None,
            };
            tree.parent[point] = parent;
            tree.depth[point] = tree.depth_of(parent) + 1;
            // The skew-binary pattern: two jumps of one length become one of twice the length.
            let once = parent.and_then(|p| tree.jump[p]);
            let twice = once.and_then(|p| tree.jump[p]);
            let lengths = [parent, once, twice].map(|p| tree.depth_of(p));
            let alike = parent.is_some() && lengths[0] - lengths[1] == lengths[1] - lengths[2];
            tree.jump[point] = if alike { twice } else { parent };
        }
        tree
    }

    fn depth_of(&self, point: Option<usize>) -> usize {
        point.map_or(0, |p| self.depth[p])
    }

    /// The deepest point above or at both.
    fn meet(&self, mut a: Option<usize>, mut b: Option<usize>) -> Option<usize> {
        while a != b {
            if self.depth_of(a) < self.depth_of(b) {
                (a, b) = (b, a);
            }
            // `a` is no less deep than `b`, and they differ: it is not the root.
            let (p, level) = (a?, self.depth_of(b));
            if self.depth[p] > level {
                a = if self.depth_of(self.jump[p]) >= level { self.jump[p] } else { self.parent[p] };
            } else {
                let q = b?;
                let apart = self.jump[p] != self.jump[q];
                (a, b) = if apart { (self.jump[p], self.jump[q]) } else { (self.parent[p], self.parent[q]) };
            }
        }
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By walking one step at a time.
    fn slowly(tree: &Tree, mut a: Option<usize>, mut b: Option<usize>) -> Option<usize> {
        while a != b {
            let deeper = if tree.depth_of(a) >= tree.depth_of(b) { &mut a } else { &mut b };
            *deeper = deeper.and_then(|p| tree.parent[p]);
        }
        a
    }

    #[test]
    fn shortcuts_meet_where_single_steps_do() {
        let mut state = 1u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        // A long chain with twigs.
        let above: Vec<Vec<usize>> = (0..300usize)
            .map(|p| {
                if p == 0 {
                    vec![]
                } else if p % 3 > 0 {
                    vec![p - 1]
                } else {
                    vec![below(p)]
                }
            })
            .collect();
        let tree = Tree::grow(0..300, &above, |_| false);
        for _ in 0..5000 {
            let (a, b) = (Some(below(300)), Some(below(300)));
            assert_eq!(tree.meet(a, b), slowly(&tree, a, b));
        }
    }
}
