//! Sorting more than fits into memory: what does not fit is sorted on the temporary disk.

use std::{cmp::Ordering, io};

use ext_sort::{ChunkBuffer, ChunkBufferBuilder, ExternalSorter, ExternalSorterBuilder};
use rayon::slice::ParallelSliceMut;
use serde::{Serialize, de::DeserializeOwned};

/// Bytes that are sorted in memory at a time; rows differ in size by orders of magnitude.
const SORTED_IN_MEMORY: usize = 16 * 1024 * 1024;

/// The temporary disk failed.
#[derive(Debug, thiserror::Error)]
#[error("records could not be sorted on the temporary disk: {0}")]
pub struct SortError(String);

impl SortError {
    pub(crate) fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// Something whose size in memory is known.
pub trait Weighed {
    /// About how many bytes of memory it takes.
    fn weight(&self) -> usize;
}

/// The items of a sort, in order.
pub type Sorted<T> = Box<dyn Iterator<Item = Result<T, SortError>>>;

/// `items` in `order`. Reads all of them before it gives the first.
pub fn sorted<T: Weighed + Send + Serialize + DeserializeOwned + 'static>(
    items: impl Iterator<Item = T>,
    order: impl Fn(&T, &T) -> Ordering + Copy + Send + Sync + 'static,
) -> Result<Sorted<T>, SortError> {
    let sorter: ExternalSorter<T, io::Error, Bounded> = ExternalSorterBuilder::new()
        .with_buffer(Bounded)
        // One thread: a function has hardly more, and the reader needs one too.
        .with_threads_number(1)
        .build()
        .map_err(SortError::new)?;
    let sorted = sorter.sort_by(items.map(Ok), order).map_err(SortError::new)?;
    // The sorter's folder lives as long as it does, and the chunks lie in it.
    Ok(Box::new(sorted.map(move |item| {
        let _folder = &sorter;
        item.map_err(SortError::new)
    })))
}

/// Makes buffers that are full after [`SORTED_IN_MEMORY`] bytes.
#[derive(Default)]
struct Bounded;

impl<T: Weighed + Send> ChunkBufferBuilder<T> for Bounded {
    type Buffer = BoundedBuffer<T>;

    fn build(&self) -> BoundedBuffer<T> {
        BoundedBuffer { items: Vec::new(), bytes: 0 }
    }
}

struct BoundedBuffer<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T: Weighed + Send> ChunkBuffer<T> for BoundedBuffer<T> {
    fn push(&mut self, item: T) {
        self.bytes += item.weight();
        self.items.push(item);
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn is_full(&self) -> bool {
        self.bytes >= SORTED_IN_MEMORY
    }
}

impl<T> IntoIterator for BoundedBuffer<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<T: Send> ParallelSliceMut<T> for BoundedBuffer<T> {
    fn as_parallel_slice_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}
