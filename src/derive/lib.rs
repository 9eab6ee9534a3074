//! `#[derive(Config)]`: one declaration of a component's options serves its decoder, its reference page, its JSON schema
//! and `explain`.
//!
//! ```ignore
//! /// Builds an AMI.                          // the description of the block
//! #[derive(Config)]
//! struct Ebs {
//!     #[config(flatten)]
//!     access: Access,                        // another struct's options, at the same level
//!     /// The name of the AMI.               // the description of the option
//!     #[config(required)]
//!     ami_name: String,
//!     #[config(default = "5m")]
//!     ssh_timeout: Duration,
//!     #[config(block)]
//!     launch_block_device_mappings: Vec<BlockDevice>,
//! }
//! ```
//!
//! Field attributes: `flatten`, `block`, `required`, `default = "text"`, `name = "other"` (a name that Rust reserves),
//! `deprecated = "what to use"`, `sensitive`, `late` (a Go template that the component renders itself, with data).
//!
//! What validates, as in Packer, and is not acted on: `unsupported` (a build that sets it stops with an error),
//! `unsupported_values = "a, b"` (one that sets it to one of these does), both with `instead = "the cure"`; and
//! `only_with = "option = value"` (it has an effect only beside that unsupported value).

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Expr, ExprLit, Fields, Lit, LitStr, Meta, parse_macro_input};

/// See the page of this crate.
#[proc_macro_derive(Config, attributes(config))]
pub fn derive_config(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// What the attributes of one field say.
#[derive(Default)]
struct Options {
    flatten: bool,
    block: bool,
    required: bool,
    sensitive: bool,
    late: bool,
    unsupported: bool,
    unsupported_values: Option<LitStr>,
    instead: Option<LitStr>,
    only_with: Option<LitStr>,
    default: Option<LitStr>,
    name: Option<LitStr>,
    deprecated: Option<LitStr>,
}

impl Options {
    fn read(attributes: &[Attribute]) -> syn::Result<Options> {
        let mut options = Options::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                match name.as_str() {
                    "flatten" => options.flatten = true,
                    "block" => options.block = true,
                    "required" => options.required = true,
                    "sensitive" => options.sensitive = true,
                    "late" => options.late = true,
                    "unsupported" => options.unsupported = true,
                    "unsupported_values" => options.unsupported_values = Some(meta.value()?.parse()?),
                    "instead" => options.instead = Some(meta.value()?.parse()?),
                    "only_with" => options.only_with = Some(meta.value()?.parse()?),
                    "default" => options.default = Some(meta.value()?.parse()?),
                    "name" => options.name = Some(meta.value()?.parse()?),
                    "deprecated" => options.deprecated = Some(meta.value()?.parse()?),
                    _ => return Err(meta.error("unknown option of #[config(…)]")),
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

/// The text of the doc comment: lines joined as written, outer blanks cut.
fn doc(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("doc")) {
        if let Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    lines.join("\n").trim().to_owned()
}

fn option_of(text: Option<&LitStr>) -> Tokens {
    text.map_or_else(|| quote!(None), |t| quote!(Some(#t)))
}

fn expand(input: &DeriveInput) -> syn::Result<Tokens> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new_spanned(input, "Config is for structs with named fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new_spanned(input, "Config is for structs with named fields"));
    };
    let name = &input.ident;
    let about = doc(&input.attrs);
    let mut schema = Vec::new();
    let mut decode = Vec::new();
    for field in &fields.named {
        let options = Options::read(&field.attrs)?;
        let Some(ident) = field.ident.as_ref() else { continue };
        let ty = &field.ty;
        if options.flatten {
            let group = doc(&field.attrs);
            schema.push(quote! {
                for field in &<#ty as ::image_action_engine::config::Config>::schema().fields {
                    let mut field = field.clone();
                    if field.group.is_empty() {
                        field.group = #group;
                    }
                    fields.push(field);
                }
            });
            decode.push(quote!(#ident: <#ty as ::image_action_engine::config::Config>::decode(body)));
            continue;
        }
        let text = options.name.as_ref().map_or_else(|| ident.to_string(), LitStr::value);
        let help = doc(&field.attrs);
        let (required, sensitive, late, unsupported) =
            (options.required, options.sensitive, options.late, options.unsupported);
        let default = option_of(options.default.as_ref());
        let deprecated = option_of(options.deprecated.as_ref());
        let shown = if options.default.is_some() || options.block {
            default.clone()
        } else {
            quote!(<#ty as ::image_action_engine::config::AttributeField>::implied())
        };
        let instead = option_of(options.instead.as_ref());
        let only_with = option_of(options.only_with.as_ref());
        let values = options.unsupported_values.as_ref().map(LitStr::value).unwrap_or_default();
        let values = values.split(',').map(str::trim).filter(|v| !v.is_empty());
        let shape = if options.block {
            quote!(<#ty as ::image_action_engine::config::BlockField>::shape())
        } else {
            quote!(<#ty as ::image_action_engine::config::AttributeField>::shape())
        };
        schema.push(quote! {
            fields.push(::image_action_engine::config::Field {
                name: #text, doc: #help, group: "", shape: #shape, required: #required, default: #shown,
                deprecated: #deprecated, sensitive: #sensitive, late: #late, unsupported: #unsupported,
                unsupported_values: &[#(#values),*], instead: #instead, only_with: #only_with,
            });
        });
        decode.push(if options.block {
            quote!(#ident: <#ty as ::image_action_engine::config::BlockField>::decode(body.blocks_named(#text)))
        } else {
            quote!(#ident: <#ty as ::image_action_engine::config::AttributeField>::decode(body.value(#text), #default))
        });
    }
    Ok(quote! {
        impl ::image_action_engine::config::Config for #name {
            fn schema() -> &'static ::image_action_engine::config::Schema {
                static SCHEMA: ::std::sync::OnceLock<::image_action_engine::config::Schema> =
                    ::std::sync::OnceLock::new();
                SCHEMA.get_or_init(|| {
                    let mut fields = Vec::new();
                    #(#schema)*
                    ::image_action_engine::config::Schema { doc: #about, fields }
                })
            }
            fn decode(body: &::image_action_engine::config::Block) -> Self {
                Self { #(#decode,)* }
            }
        }
    })
}
