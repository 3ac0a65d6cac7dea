//! Marks: what a candidate wrote down about its own belief, many times a second, in a file that
//! survives its being killed.
//!
//! A mark is one record of 32 bytes, appended by one `write`: what the kernel has taken is there,
//! whatever becomes of the process. All readings are of the clock that leadership is judged by
//! (rule L4), which is one and the same for all processes of a machine.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

/// How often a candidate that leads marks it.
pub(crate) const PERIOD_NS: u64 = 2_000_000;

/// One answer of `is_leading`, between two readings of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The clock before the question, in nanoseconds.
    pub(crate) before: u64,
    /// The clock after the answer.
    pub(crate) after: u64,
    /// When belief would end without another renewal; 0 where no time ends it, or there is none.
    pub(crate) valid_until: u64,
    /// Which term of this process it was asked of, from 1.
    pub(crate) term: u32,
    /// The answer.
    pub(crate) leading: bool,
}

const SIZE: usize = 32;

impl Mark {
    fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0..8].copy_from_slice(&self.before.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.after.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.valid_until.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.term.to_le_bytes());
        bytes[28] = self.leading.into();
        bytes
    }

    fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let term = [bytes[24], bytes[25], bytes[26], bytes[27]];
        Self {
            before: number(0),
            after: number(8),
            valid_until: number(16),
            term: u32::from_le_bytes(term),
            leading: bytes[28] == 1,
        }
    }
}

/// Where a process writes its marks.
pub(crate) struct Writer(File);

impl Writer {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(file))
    }

    pub(crate) fn write(&mut self, mark: Mark) -> io::Result<()> {
        self.0.write_all(&mark.to_bytes())
    }
}

/// Reads a file of marks while it grows.
#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    offset: u64,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { file, offset: 0 })
    }

    /// The marks since the last call. A record that is not complete yet is left for the next.
    pub(crate) fn read(&mut self) -> io::Result<Vec<Mark>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let (records, _) = bytes.as_chunks::<SIZE>();
        self.offset += (records.len() * SIZE) as u64;
        Ok(records.iter().map(Mark::from_bytes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: u64, leading: bool) -> Mark {
        Mark {
            before: at,
            after: at + 1,
            valid_until: at + 100,
            term: 7,
            leading,
        }
    }

    #[test]
    fn marks_are_read_back_as_they_were_written_also_while_the_file_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marks");
        let mut writer = Writer::open(&path).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        writer.write(mark(10, true)).unwrap();
        assert_eq!(reader.read().unwrap(), [mark(10, true)]);
        writer.write(mark(20, false)).unwrap();
        writer.0.write_all(&[1, 2, 3]).unwrap();
        assert_eq!(reader.read().unwrap(), [mark(20, false)]);
        assert_eq!(reader.read().unwrap(), []);
    }
}
