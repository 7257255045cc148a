//! What a packed row is, byte by byte.

use lowbit_kernels::embedding::{Layout, Parameters};

use crate::EmbedError;

/// Where scale and bias are in a fused row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Behind the codes: PyTorch's prepacked tables and FBGEMM's default. Half precision below 8 bits, f32 at 8 bits.
    #[default]
    Last,
    /// Before the codes, in half precision at every width: FBGEMM's table-batched embeddings.
    First,
}

impl Order {
    /// Both, by name.
    pub const ALL: [Order; 2] = [Order::Last, Order::First];

    /// `last` or `first`.
    pub fn name(self) -> &'static str {
        match self {
            Order::Last => "last",
            Order::First => "first",
        }
    }
}

/// The form of a row of `columns` values. Codes lie in bytes, the first in the lowest bits; numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Codes of evenly spaced values: `scale·q + bias`.
    Fused {
        /// Values of a row.
        columns: usize,
        /// 8, 4 or 2.
        bits: u32,
        /// Where scale and bias are.
        order: Order,
    },
    /// Codes, then `2^bits` values of half precision that they stand for, in this row only.
    Codebook {
        /// Values of a row.
        columns: usize,
        /// 4 or 2.
        bits: u32,
    },
    /// Codes alone: which codebook they mean is said by the row's cluster, beside the rows.
    Clusters {
        /// Values of a row.
        columns: usize,
        /// 4 or 2.
        bits: u32,
    },
}

impl Format {
    /// A fused form, checked: whole bytes of codes, as the production readers demand.
    ///
    /// # Errors
    /// Zero columns, another width, or a count of columns that leaves a byte half full.
    pub fn fused(columns: usize, bits: u32, order: Order) -> Result<Format, EmbedError> {
        check_bits(bits, &[8, 4, 2])?;
        check_columns(columns)?;
        let per_byte = (8 / bits) as usize;
        if !columns.is_multiple_of(per_byte) {
            return Err(EmbedError::Options(format!(
                "{columns} columns do not fill whole bytes of {bits}-bit codes: fused rows need a multiple of {per_byte} \
                 (kmeans takes any count; 8 bits too)"
            )));
        }
        Ok(Format::Fused { columns, bits, order })
    }

    /// The form with a codebook per row, or per cluster of rows.
    ///
    /// # Errors
    /// Zero columns, or 8 bits: 256 values of their own would be larger than the row.
    pub fn codebook(columns: usize, bits: u32, clusters: bool) -> Result<Format, EmbedError> {
        check_bits(bits, &[4, 2])?;
        check_columns(columns)?;
        Ok(if clusters { Format::Clusters { columns, bits } } else { Format::Codebook { columns, bits } })
    }

    /// Values of a row.
    pub fn columns(self) -> usize {
        match self {
            Format::Fused { columns, .. }
            | Format::Codebook { columns, .. }
            | Format::Clusters { columns, .. } => columns,
        }
    }

    /// Width of the codes.
    pub fn bits(self) -> u32 {
        match self {
            Format::Fused { bits, .. } | Format::Codebook { bits, .. } | Format::Clusters { bits, .. } => {
                bits
            }
        }
    }

    /// Bytes of codes.
    pub fn code_bytes(self) -> usize {
        (self.columns() * self.bits() as usize).div_ceil(8)
    }

    /// Bytes of a row.
    pub fn row_bytes(self) -> usize {
        self.code_bytes()
            + match self {
                Format::Fused { bits: 8, order: Order::Last, .. } => 8,
                Format::Fused { .. } => 4,
                Format::Codebook { bits, .. } => 2 << bits,
                Format::Clusters { .. } => 0,
            }
    }

    /// First byte of the codes.
    pub fn codes_at(self) -> usize {
        if matches!(self, Format::Fused { order: Order::First, .. }) { 4 } else { 0 }
    }

    /// The places in a fused row.
    pub fn layout(self) -> Option<Layout> {
        let Format::Fused { columns, bits, order } = self else { return None };
        Some(Layout {
            columns,
            bits,
            stride: self.row_bytes(),
            codes_at: self.codes_at(),
            parameters_at: if order == Order::First { 0 } else { self.code_bytes() },
            parameters: if bits == 8 && order == Order::Last { Parameters::Float } else { Parameters::Half },
        })
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Format::Fused { order: Order::Last, .. } => "fused-rowwise",
            Format::Fused { order: Order::First, .. } => "fused-rowwise-scale-bias-first",
            Format::Codebook { .. } => "codebook-rowwise",
            Format::Clusters { .. } => "codebook-clusters",
        }
    }

    /// The form of that name.
    ///
    /// # Errors
    /// Another name, or a shape that the form does not allow.
    pub fn named(name: &str, columns: usize, bits: u32) -> Result<Format, EmbedError> {
        match name {
            "fused-rowwise" => Format::fused(columns, bits, Order::Last),
            "fused-rowwise-scale-bias-first" => Format::fused(columns, bits, Order::First),
            "codebook-rowwise" => Format::codebook(columns, bits, false),
            "codebook-clusters" => Format::codebook(columns, bits, true),
            other => {
                Err(EmbedError::Options(format!("rows of form `{other}`, which this version does not know")))
            }
        }
    }
}

fn check_bits(bits: u32, accepted: &[u32]) -> Result<(), EmbedError> {
    if accepted.contains(&bits) {
        return Ok(());
    }
    let accepted: Vec<String> = accepted.iter().map(u32::to_string).collect();
    Err(EmbedError::Options(format!("codes of {bits} bits; this form has {}", accepted.join(", "))))
}

fn check_columns(columns: usize) -> Result<(), EmbedError> {
    if columns == 0 { Err(EmbedError::Options("the table has no columns".into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_published_sizes() {
        let bytes = |format: Result<Format, EmbedError>| format.unwrap().row_bytes();
        assert_eq!(bytes(Format::fused(64, 4, Order::Last)), 36);
        assert_eq!(bytes(Format::fused(64, 2, Order::First)), 20);
        assert_eq!(bytes(Format::fused(64, 8, Order::Last)), 72);
        assert_eq!(bytes(Format::fused(64, 8, Order::First)), 68);
        assert_eq!(bytes(Format::codebook(64, 4, false)), 64);
        assert_eq!(bytes(Format::codebook(9, 4, false)), 37);
        assert_eq!(bytes(Format::codebook(64, 4, true)), 32);
    }

    #[test]
    fn what_does_not_fill_bytes_is_refused_with_the_reason() {
        let refused = Format::fused(63, 4, Order::Last).unwrap_err().to_string();
        assert!(refused.contains("63 columns") && refused.contains("multiple of 2"), "{refused}");
        assert!(Format::fused(66, 2, Order::Last).is_err());
        assert!(Format::fused(0, 8, Order::Last).is_err());
        assert!(Format::codebook(8, 8, false).is_err());
    }
}
