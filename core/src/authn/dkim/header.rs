//! A header block in which signatures find their fields.

use std::collections::BTreeMap;

use crate::model::message::{Field, fields};

/// The fields of a header block, by name. Finding one costs the same however many there are.
#[derive(Debug)]
pub(in crate::authn) struct Header<'a> {
    fields: Vec<Field<'a>>,
    /// Names in lower case; the fields of each, from the top.
    by_name: BTreeMap<Vec<u8>, Vec<usize>>,
}

impl<'a> Header<'a> {
    pub(in crate::authn) fn new(block: &'a [u8]) -> Self {
        let fields: Vec<_> = fields(block).collect();
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, field) in fields.iter().enumerate() {
            by_name.entry(field.name.to_ascii_lowercase()).or_default().push(index);
        }
        Self { fields, by_name }
    }

    /// The fields of this name, given in lower case, from the top.
    pub(in crate::authn) fn named(&self, name: &str) -> impl ExactSizeIterator<Item = Field<'a>> + '_ {
        let places = self.by_name.get(name.as_bytes()).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| self.fields[*place])
    }

    /// The fields that `h=` names: of those with one name the last one first, and nothing where there is no further one (RFC 6376 §5.4.2).
    /// The signature's own field is none of them: it did not stand there when they were signed.
    pub(in crate::authn) fn select<'n>(
        &self,
        names: &'n [String],
        own: Option<Field<'a>>,
    ) -> impl Iterator<Item = Field<'a>> + use<'_, 'a, 'n> {
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        let is_own = move |field: &Field<'a>| own.is_some_and(|own| std::ptr::eq(own.octets, field.octets));
        names.iter().filter_map(move |name| {
            let places = self.by_name.get(name.as_bytes())?;
            let taken = taken.entry(name.as_str()).or_default();
            loop {
                let place = places.len().checked_sub(*taken + 1)?;
                *taken += 1;
                let field = self.fields[places[place]];
                if !is_own(&field) {
                    return Some(field);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_fields_are_taken_from_the_last_and_never_the_signature_itself() {
        let block = b"Sig: own\r\nTo: 1\r\nFROM: a\r\nto: 2\r\nSig: older\r\n\r\n";
        let header = Header::new(block);
        let own = header.named("sig").next();
        let names = ["to", "sig", "to", "from", "to", "sig", "none"].map(String::from);
        let found: Vec<_> =
            header.select(&names, own).map(|f| String::from_utf8_lossy(f.body).trim().to_owned()).collect();
        assert_eq!(found, ["2", "older", "1", "a"]);
        assert_eq!(header.named("to").len(), 2);
        assert_eq!(header.named("none").len(), 0);
    }
}
