//! Address blocks.

use super::args::{text, whole, whole_at};
use super::{Function, FunctionError, Outcome, Takes, deep, param};
use crate::scope::World;
use crate::value::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A subnet adds no more bits than this to its block.
const MAX_NEW_BITS: i64 = 32;

const PREFIX: super::Param = param("prefix", Takes::String);

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("cidrhost", &[PREFIX, param("hostnum", Takes::Number)], Takes::String, cidrhost),
    deep("cidrnetmask", &[PREFIX], Takes::String, |_, a| {
        let block = Block::parse(text(&a[0]))?;
        Ok(Value::string(block.show(block.mask())))
    }),
    deep(
        "cidrsubnet",
        &[PREFIX, param("newbits", Takes::Number), param("netnum", Takes::Number)],
        Takes::String,
        cidrsubnet,
    ),
    deep("cidrsubnets", &[PREFIX], Takes::Strings, cidrsubnets).variadic(param("newbits", Takes::Number)),
];

/// A block of addresses: its first one, and how many leading bits are fixed.
#[derive(Clone, Copy)]
struct Block {
    base: u128,
    /// 32 or 128.
    width: u32,
    length: u32,
}

impl Block {
    fn parse(given: &str) -> Result<Block, FunctionError> {
        let invalid =
            || FunctionError::new(format!("invalid CIDR expression: {given:?} is not an address and a prefix length"));
        let (address, length) = given.split_once('/').ok_or_else(invalid)?;
        if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) || address.contains('%') {
            return Err(invalid());
        }
        let length: u32 = length.parse().map_err(|_| invalid())?;
        let (base, width) = match address.parse::<IpAddr>().map_err(|_| invalid())? {
            IpAddr::V4(a) => (u128::from(u32::from(a)), 32),
            IpAddr::V6(a) => (u128::from(a), 128),
        };
        if length > width {
            return Err(invalid());
        }
        let block = Block { base, width, length };
        Ok(Block { base: base & block.mask(), ..block })
    }

    /// Ones where bits are fixed.
    fn mask(self) -> u128 {
        let all = if self.width == 32 { u128::from(u32::MAX) } else { u128::MAX };
        all & !self.host_mask()
    }

    /// Ones where they are not.
    fn host_mask(self) -> u128 {
        let free = self.width - self.length;
        if free == 128 { u128::MAX } else { (1u128 << free) - 1 }
    }

    fn show(self, address: u128) -> String {
        match u32::try_from(address) {
            Ok(v4) if self.width == 32 => Ipv4Addr::from(v4).to_string(),
            _ => Ipv6Addr::from(address).to_string(),
        }
    }

    fn display(self) -> String {
        format!("{}/{}", self.show(self.base), self.length)
    }
}

/// A whole number of any size that u128 or i128 holds.
fn big(value: &Value) -> Result<(bool, u128), FunctionError> {
    let whole = value.as_number().and_then(crate::number::Number::to_integer);
    let (negative, magnitude) = whole.ok_or_else(|| FunctionError::new("a whole number is required"))?;
    let magnitude = u128::try_from(magnitude).map_err(|_| FunctionError::new("this number is too large"))?;
    Ok((negative, magnitude))
}

fn cidrhost(_: &World, a: &[Value]) -> Outcome {
    let block = Block::parse(text(&a[0]))?;
    // Packer reads the number as one of 64 bits.
    whole(&a[1])?;
    let (negative, number) = big(&a[1])?;
    let last = block.host_mask();
    // −1 is the last address of the block.
    let offset =
        if negative && number > 0 { last.checked_sub(number - 1) } else { Some(number).filter(|n| *n <= last) };
    let offset = offset.ok_or_else(|| {
        FunctionError::new(format!(
            "prefix of {} does not accommodate a host numbered {}",
            block.length,
            text_of(&a[1])
        ))
    })?;
    Ok(Value::string(block.show(block.base | offset)))
}

fn text_of(value: &Value) -> String {
    value.as_number().map(ToString::to_string).unwrap_or_default()
}

fn cidrsubnet(_: &World, a: &[Value]) -> Outcome {
    let block = Block::parse(text(&a[0]))?;
    let bits = whole(&a[1])?;
    let added = u32::try_from(bits).ok().filter(|_| bits <= MAX_NEW_BITS);
    let added = added.ok_or_else(|| {
        FunctionError::new(format!("a subnet adds between 0 and {MAX_NEW_BITS} bits to its prefix, not {bits}"))
    })?;
    let length = block.length + added;
    if length > block.width {
        return Err(FunctionError::new(format!(
            "not enough bits: {} and {added} more are above {}",
            block.length, block.width
        )));
    }
    let (negative, number) = big(&a[2])?;
    // added is at most 32, so that the shift is in range.
    if (negative && number > 0) || number >= 1u128 << added {
        return Err(FunctionError::new(format!(
            "prefix extension of {added} does not accommodate a subnet numbered {}",
            text_of(&a[2])
        )));
    }
    let free = block.width - length;
    let offset = if free == 128 { 0 } else { number << free };
    Ok(Value::string(Block { base: block.base | offset, length, ..block }.display()))
}

fn cidrsubnets(_: &World, a: &[Value]) -> Outcome {
    let block = Block::parse(text(&a[0]))?;
    let end = block.base | block.host_mask();
    let mut next = Some(block.base);
    let mut subnets = Vec::new();
    for (i, value) in a.iter().enumerate().skip(1) {
        let bits = whole_at(value, i)?;
        let added = u32::try_from(bits).ok().filter(|_| (1..=MAX_NEW_BITS).contains(&bits));
        let added =
            added.ok_or_else(|| FunctionError::at(i, format!("must extend prefix by 1 to {MAX_NEW_BITS} bits")))?;
        let length = block.length + added;
        if length > block.width {
            return Err(FunctionError::at(
                i,
                format!(
                    "would extend prefix to {length} bits, which is too long for an address of {} bits",
                    block.width
                ),
            ));
        }
        let subnet = Block { base: 0, length, ..block };
        // The next address that is a multiple of the subnet's size.
        let full = || {
            FunctionError::at(
                i,
                format!("not enough remaining address space for a subnet with a prefix of {length} bits"),
            )
        };
        let from = next.ok_or_else(full)?;
        let base = from.checked_add(subnet.host_mask()).ok_or_else(full)? & !subnet.host_mask();
        let last = base | subnet.host_mask();
        if last > end {
            return Err(full());
        }
        next = last.checked_add(1);
        subnets.push(Block { base, ..subnet }.display());
    }
    Ok(Value::strings(subnets))
}
