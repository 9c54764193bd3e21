//! Bodies made smaller, into one buffer that is kept.

use std::io::Write as _;

use flate2::write::GzEncoder;

use super::options::Compression;
use crate::destination::SendError;

/// The quickest level of each: JSON of records shrinks to a tenth already, and the box is small.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

#[derive(Default)]
pub(super) struct Compressor {
    out: Vec<u8>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Compressor {
    /// The body as it travels.
    pub(super) fn compressed<'a>(
        &'a mut self,
        how: Compression,
        body: &'a [u8],
    ) -> Result<&'a [u8], SendError> {
        let failed = |error: std::io::Error| SendError::later(format!("compressing: {error}"));
        match how {
            Compression::None => return Ok(body),
            Compression::Gzip => {
                self.out.clear();
                let level = flate2::Compression::new(GZIP_LEVEL);
                let mut gzip = GzEncoder::new(&mut self.out, level);
                gzip.write_all(body).map_err(failed)?;
                gzip.finish().map_err(failed)?;
            }
            Compression::Zstd => {
                let zstd = match &mut self.zstd {
                    Some(zstd) => zstd,
                    none => none.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed)?),
                };
                self.out.clear();
                self.out
                    .reserve(zstd::zstd_safe::compress_bound(body.len()));
                zstd.compress_to_buffer(body, &mut self.out)
                    .map_err(failed)?;
            }
        }
        Ok(&self.out)
    }
}
